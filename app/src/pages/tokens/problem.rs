//! A panel that shows a problem.

use domain::problem::ProblemCode;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{one::use_token_id, paths::Paths, place::Place};
use crate::{
    components::panel::Panel, pages::workspaces::show::use_workspace_slug, problem::ConsoleError,
};

/// The replacement for a panel whose data could not be loaded.
#[component]
pub fn ProblemPanel(
    /// The problem.
    error: ConsoleError,
) -> impl IntoView {
    let problem = error.0;
    let place = Place::read(&use_location().search.get_untracked());
    let list = Paths::new(&use_workspace_slug().get_untracked()).list(&place);
    let title = match problem.code {
        ProblemCode::NotFound if !use_token_id().get_untracked().is_empty() => {
            "Token not found".to_owned()
        }
        ProblemCode::NotFound => "Page not found".to_owned(),
        _ => problem.title.clone(),
    };
    let id = problem.request_id.clone().map(|id| {
        view! { <p class="error-id">"Request ID: "<code>{id}</code></p> }
    });
    view! {
        <Panel title close_href=list.clone() size="panel-small">
            <div class="panel-body">
                <p>{problem.detail.clone()}</p>
                {id}
            </div>
            <footer class="panel-foot form-actions">
                <a class="button button-primary" href=list>"Back to the list"</a>
            </footer>
        </Panel>
    }
}
