//! The data of a workspace's settings page.

use domain::workspace::{Member, WorkspaceOverview};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// A workspace's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// The workspace's members; `None` if the visitor may not see them.
    pub members: Option<Vec<Member>>,
}

/// Returns the data of a workspace's settings page.
#[server(prefix = "/console/fn", endpoint = "settings", input = server_fn::codec::Json)]
pub async fn load_settings(workspace: String) -> Result<WorkspaceSettings, ConsoleError> {
    use authority::ServiceError;

    use crate::{fns::slug, request};

    let (request, context) = request::signed_in()?;
    let slug = slug(&workspace)?;
    let workspaces = request.authority.workspaces();
    let overview = workspaces
        .show(&context, &slug)
        .await
        .map_err(|error| request::failed(&request, &error))?;
    let members = match workspaces.members(&context, &slug).await {
        Ok(members) => Some(members),
        Err(ServiceError::Forbidden(_) | ServiceError::NotFound(_)) => None,
        Err(error) => return Err(request::failed(&request, &error)),
    };
    Ok(WorkspaceSettings { overview, members })
}
