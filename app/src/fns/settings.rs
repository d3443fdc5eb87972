//! What a workspace's settings page shows.

use domain::workspace::{Invitation, Member, WorkspaceOverview};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// A workspace's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// Its members; `None` when the visitor may not see them.
    pub members: Option<Vec<Member>>,
    /// Its invitations; `None` when the visitor may not invite.
    pub invitations: Option<Vec<Invitation>>,
    /// Whether the visitor adds users at once, instead of inviting them.
    pub adds_at_once: bool,
    /// The server's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
}

/// What a workspace's settings page shows.
#[server(prefix = "/console/fn", endpoint = "settings", input = server_fn::codec::Json)]
pub async fn load_settings(workspace: String) -> Result<WorkspaceSettings, ConsoleError> {
    use domain::session::Visitor;

    use crate::{fns::slug, request};

    let (request, context) = request::signed_in()?;
    let slug = slug(&workspace)?;
    let workspaces = request.authority.workspaces();
    let overview = workspaces
        .show(&context, &slug)
        .await
        .map_err(|error| request::failed(&request, &error))?;
    let members = seen(&request, workspaces.members(&context, &slug).await)?;
    let invitations = request.authority.invitations().of_workspace(&context, &slug).await;
    Ok(WorkspaceSettings {
        overview,
        members,
        invitations: seen(&request, invitations)?,
        adds_at_once: request.session.visitor.as_ref().is_some_and(Visitor::is_instance_admin),
        now: context.now,
    })
}

/// What was read; `None` when the visitor may not see it.
#[cfg(feature = "ssr")]
fn seen<T>(
    request: &crate::request::ConsoleRequest,
    result: Result<T, authority::ServiceError>,
) -> Result<Option<T>, ConsoleError> {
    use authority::ServiceError;

    match result {
        Ok(seen) => Ok(Some(seen)),
        Err(ServiceError::Forbidden(_) | ServiceError::NotFound(_)) => Ok(None),
        Err(error) => Err(crate::request::failed(request, &error)),
    }
}
