//! The list of workspaces.

use domain::workspace::WorkspaceCard;
use leptos::prelude::*;

use crate::problem::ConsoleError;

/// The workspaces that the visitor sees.
#[server(prefix = "/console/fn", endpoint = "workspaces", input = server_fn::codec::Json)]
pub async fn load_workspaces() -> Result<Vec<WorkspaceCard>, ConsoleError> {
    use crate::request;

    let (request, context) = request::signed_in()?;
    request
        .authority
        .workspaces()
        .list(&context)
        .await
        .map_err(|error| request::failed(&request, &error))
}
