//! What the form for a new token needs to know.

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
    /// The server's clock: what lifetimes are counted from.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// Who is signed in.
    pub visitor: Visitor,
    /// Whom the token may act as, beside the visitor: nobody, where they manage their own tokens alone.
    pub members: Vec<Member>,
    /// The APIs with their scopes.
    pub catalogues: Vec<Catalogue>,
    /// Scopes of them that the visitor may not put on tokens.
    pub withheld: BTreeSet<HeldScope>,
    /// Tells this form from every other one, so that sending it twice makes one token.
    pub creation_key: Uuid,
}

/// What the form for a new token of a workspace needs. Only who makes tokens there may see it.
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
        // A token of a disabled user would not work.
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
