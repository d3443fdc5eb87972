//! The data of the form for a new token.

use std::collections::BTreeSet;

use domain::{
    catalogue::Catalogue,
    held::HeldScope,
    session::Visitor,
    workspace::{Member, WorkspaceOverview},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::problem::ConsoleError;

/// Everything that the form offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenForm {
    /// The server's clock, from which lifetimes are counted.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// The signed-in user.
    pub visitor: Visitor,
    /// The members whom the token may act as. Empty if the token can only act as the visitor.
    pub members: Vec<Member>,
    /// The catalogues of the APIs.
    pub catalogues: Vec<Catalogue>,
    /// The scopes that the visitor may not grant to tokens.
    pub withheld: BTreeSet<HeldScope>,
    /// Identifies this form, so that submitting it twice creates only one token.
    pub creation_key: Uuid,
}

/// Returns the data of the form for a new token of a workspace. Requires permission to create
/// tokens there.
#[server(prefix = "/console/fn", endpoint = "tokens/form", input = server_fn::codec::Json)]
pub async fn tokens_form(workspace: String) -> Result<TokenForm, ConsoleError> {
    use authority::entropy::{SystemEntropy, uuid};
    use domain::access::TokenReach;

    use crate::{fns::slug, request};

    let (request, context) = request::signed_in()?;
    let slug = slug(&workspace)?;
    let failed = |error| request::failed(&request, &error);
    let overview = request.authority.workspaces().show(&context, &slug).await.map_err(failed)?;
    let withheld = request.authority.tokens().withheld(&context, &slug).await.map_err(failed)?;
    let mut members = Vec::new();
    if overview.reach == TokenReach::All {
        members = request.authority.workspaces().members(&context, &slug).await.map_err(failed)?;
        // A token that acts as a disabled user would not work.
        members.retain(|member| member.enabled);
    }
    let catalogues = request.authority.catalogues().list(&context).await.map_err(failed)?;
    let visitor = request.session.visitor.clone().ok_or_else(ConsoleError::unreachable)?;
    Ok(TokenForm {
        now: context.now,
        overview,
        visitor,
        members,
        catalogues,
        withheld,
        creation_key: uuid(&SystemEntropy, context.now),
    })
}
