//! What the frame around every page shows.

use domain::{session::Visitor, workspace::WorkspaceCard};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// Who is signed in, and where they may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Who is signed in.
    pub visitor: Visitor,
    /// The workspaces that they see.
    pub workspaces: Vec<WorkspaceCard>,
}

impl Frame {
    /// The workspace with this slug, if the visitor sees it.
    pub fn workspace(&self, slug: &str) -> Option<&WorkspaceCard> {
        self.workspaces.iter().find(|card| card.workspace.slug.as_ref() == slug)
    }
}

/// What the frame around every page shows.
#[server(prefix = "/console/fn", endpoint = "frame", input = server_fn::codec::Json)]
pub async fn load_frame() -> Result<Frame, ConsoleError> {
    use crate::request;

    let (request, context) = request::signed_in()?;
    let workspaces = request
        .authority
        .workspaces()
        .list(&context)
        .await
        .map_err(|error| request::failed(&request, &error))?;
    let visitor = request.session.visitor.clone().ok_or_else(ConsoleError::unreachable)?;
    Ok(Frame { visitor, workspaces })
}
