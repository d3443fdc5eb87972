//! Data for the pages about invitations.

use domain::workspace::{Invitation, Member, Workspace};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// The invitations of the signed-in user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnInvitations {
    /// The invitations that can be accepted, newest first.
    pub invitations: Vec<Invitation>,
    /// The server's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
}

/// Returns the invitations of the signed-in user.
#[server(prefix = "/console/fn", endpoint = "invitations", input = server_fn::codec::Json)]
pub async fn load_invitations() -> Result<OwnInvitations, ConsoleError> {
    use crate::request;

    let (request, context) = request::signed_in()?;
    let invitations = request
        .authority
        .invitations()
        .own(&context)
        .await
        .map_err(|error| request::failed(&request, &error))?;
    Ok(OwnInvitations { invitations, now: context.now })
}

/// The members of a workspace and its invitations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersView {
    /// The workspace.
    pub workspace: Workspace,
    /// The workspace's members, by name.
    pub members: Vec<Member>,
    /// The workspace's invitations that are neither accepted nor expired.
    pub invitations: Vec<Invitation>,
    /// Whether the visitor adds users directly, instead of inviting them.
    pub adds_at_once: bool,
    /// The server's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
}

/// Returns the members of a workspace and its invitations. Requires permission to manage them.
#[server(prefix = "/console/fn", endpoint = "members", input = server_fn::codec::Json)]
pub async fn load_members(workspace: String) -> Result<MembersView, ConsoleError> {
    use authority::ServiceError;
    use domain::session::Visitor;

    use crate::{fns::slug, request};

    let (request, context) = request::signed_in()?;
    let slug = slug(&workspace)?;
    let failed = |error: ServiceError| request::failed(&request, &error);
    let (workspaces, invitations) =
        (request.authority.workspaces(), request.authority.invitations());
    Ok(MembersView {
        invitations: invitations.of_workspace(&context, &slug).await.map_err(failed)?,
        members: workspaces.members(&context, &slug).await.map_err(failed)?,
        workspace: workspaces.show(&context, &slug).await.map_err(failed)?.workspace,
        adds_at_once: request.session.visitor.as_ref().is_some_and(Visitor::is_instance_admin),
        now: context.now,
    })
}
