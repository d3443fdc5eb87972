//! A page that only shows a problem.

use domain::problem::Problem;
use leptos::prelude::*;
use leptos_router::components::Router;

use super::auth::PageTop;
use crate::components::{logo::Logo, problem::ProblemPage};

/// A page that only shows a problem. It reads no data, because whatever failed may fail again.
#[component]
pub fn FailedPage(
    /// The problem.
    problem: Problem,
) -> impl IntoView {
    view! {
        <PageTop/>
        <div class="shell shell-plain">
            <header class="topbar">
                <a class="brand" href="/workspaces">
                    <Logo/>
                </a>
            </header>
            <main class="main" id="main" tabindex="-1">
                <Router>
                    <ProblemPage problem/>
                </Router>
            </main>
        </div>
    }
}
