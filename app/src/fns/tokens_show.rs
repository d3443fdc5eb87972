//! The data of the pages about one token, including the catalogues that explain its scopes.

use domain::{catalogue::Catalogue, policy::Policy, token::Token};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// The data of the pages about one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDetail {
    /// The server's clock, from which "4 minutes ago" is counted.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The token.
    pub token: Token,
    /// The catalogues of the token's audiences. A removed audience has none.
    pub catalogues: Vec<Catalogue>,
    /// The policy in force for the token.
    pub policy: Policy,
    /// Whether the visitor may change it.
    pub may_write: bool,
}

/// Returns a token of a workspace, either to view it or to `change` it. Reports a token of another
/// workspace as "not found" under this one's address.
#[server(prefix = "/console/fn", endpoint = "tokens/show", input = server_fn::codec::Json)]
pub async fn tokens_show(
    workspace: String,
    id: String,
    change: bool,
) -> Result<TokenDetail, ConsoleError> {
    use domain::{
        ids::TokenId,
        problem::{Problem, ProblemCode},
    };

    use crate::request;

    let not_found = || {
        request::tell(Problem::new(
            ProblemCode::NotFound,
            "Token not found. It may have been deleted.",
        ))
    };
    let (request, context) = request::signed_in()?;
    let id: TokenId = id.parse().map_err(|_| not_found())?;
    let failed = |error| request::failed(&request, &error);
    let token = request.authority.tokens().show(&context, id).await.map_err(failed)?;
    if token.workspace.as_ref() != workspace {
        return Err(not_found());
    }
    let overview = request.authority.workspaces().show(&context, &token.workspace).await;
    let overview = overview.map_err(failed)?;
    // A visitor who can see the token also reaches it, so the kind of reach decides.
    let may_write = overview.reach.manages();
    if change && !may_write {
        return Err(request::tell(Problem::new(
            ProblemCode::Forbidden,
            "Only administrators manage API tokens.",
        )));
    }
    let mut catalogues = request.authority.catalogues().list(&context).await.map_err(failed)?;
    catalogues.retain(|catalogue| token.audiences.contains(&catalogue.audience));
    Ok(TokenDetail { now: context.now, token, catalogues, policy: overview.policy, may_write })
}
