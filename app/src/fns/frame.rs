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
    use domain::problem::ProblemCode;

    use crate::request;

    // The frame only surrounds a page: that nobody is signed in does not decide the page's status.
    let request = request::request();
    let Some(visitor) = request.session.visitor.clone() else {
        return Err(ConsoleError::new(
            ProblemCode::Unauthenticated,
            "Your session has ended. Sign in again.",
        ));
    };
    // Their one page shows where they are and lets them sign out.
    if request.session.must_change_password {
        return Ok(Frame { visitor, workspaces: Vec::new() });
    }
    let context = request.context();
    let workspaces = request
        .authority
        .workspaces()
        .list(&context)
        .await
        .map_err(|error| request::failed(&request, &error))?;
    Ok(Frame { visitor, workspaces })
}
