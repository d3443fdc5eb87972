//! What the list of tokens shows.

use domain::{
    token::{Page, Token},
    token_query::TokenQuery,
    workspace::WorkspaceOverview,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// One page of a workspace's tokens with what stands around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// The server's clock: what "in 3 days" is counted from.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// The rows.
    pub page: Page<Token>,
}

/// One page of the tokens of a workspace: of those that the visitor reaches.
#[server(prefix = "/console/fn", endpoint = "tokens/list", input = server_fn::codec::Json)]
pub async fn tokens_list(workspace: String, query: TokenQuery) -> Result<TokenList, ConsoleError> {
    use crate::{fns::slug, request};

    let (request, context) = request::signed_in()?;
    let slug = slug(&workspace)?;
    let failed = |error| request::failed(&request, &error);
    let overview = request.authority.workspaces().show(&context, &slug).await.map_err(failed)?;
    let page = request.authority.tokens().list(&context, &slug, &query).await.map_err(failed)?;
    Ok(TokenList { now: context.now, overview, page })
}
