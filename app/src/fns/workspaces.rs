//! The list of workspaces.

use domain::workspace::WorkspaceCard;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// The workspaces that the visitor can open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The workspaces that the visitor can see.
    pub workspaces: Vec<WorkspaceCard>,
    /// The number of pending invitations.
    pub invitations: usize,
}

/// Returns the workspaces that the visitor can see.
#[server(prefix = "/console/fn", endpoint = "workspaces", input = server_fn::codec::Json)]
pub async fn load_workspaces() -> Result<Home, ConsoleError> {
    use authority::ServiceError;

    use crate::request;

    let (request, context) = request::signed_in()?;
    let failed = |error: ServiceError| request::failed(&request, &error);
    let workspaces = request.authority.workspaces().list(&context).await.map_err(failed)?;
    let invitations = request.authority.invitations().own(&context).await.map_err(failed)?.len();
    Ok(Home { workspaces, invitations })
}
