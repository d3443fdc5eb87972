//! The list of workspaces.

use domain::workspace::WorkspaceCard;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// Where the visitor may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The workspaces that they see.
    pub workspaces: Vec<WorkspaceCard>,
    /// How many workspaces invite them.
    pub invitations: usize,
}

/// The workspaces that the visitor sees.
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
