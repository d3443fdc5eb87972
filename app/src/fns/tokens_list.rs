//! The data of the list of tokens.

use domain::{
    token::{Page, Token},
    token_query::TokenQuery,
    workspace::WorkspaceOverview,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// One page of a workspace's tokens, with the data around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// The server's clock, from which "in 3 days" is counted.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// The rows.
    pub page: Page<Token>,
}

/// Returns one page of a workspace's tokens, restricted to those that the visitor can reach.
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
