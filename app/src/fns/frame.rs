//! The data of the frame around every page.

use domain::{session::Visitor, workspace::WorkspaceCard};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// The visitor and the workspaces that they can open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The signed-in user.
    pub visitor: Visitor,
    /// The workspaces that the visitor can see.
    pub workspaces: Vec<WorkspaceCard>,
}

impl Frame {
    /// Returns the workspace with this slug, if the visitor can see it.
    pub fn workspace(&self, slug: &str) -> Option<&WorkspaceCard> {
        self.workspaces.iter().find(|card| card.workspace.slug.as_ref() == slug)
    }
}

/// Returns the data of the frame around every page.
#[server(prefix = "/console/fn", endpoint = "frame", input = server_fn::codec::Json)]
pub async fn load_frame() -> Result<Frame, ConsoleError> {
    use domain::problem::ProblemCode;

    use crate::request;

    // The frame only surrounds a page, so a missing session does not decide the page's status.
    let request = request::request();
    let Some(visitor) = request.session.visitor.clone() else {
        return Err(ConsoleError::new(
            ProblemCode::Unauthenticated,
            "Your session has ended. Sign in again.",
        ));
    };
    // Users who must change their password only need to see where they are and to sign out.
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
