//! Waiting for what a page is about.

use domain::problem::Problem;
use leptos::{either::Either, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

use super::problem::ProblemPage;
use crate::problem::ConsoleError;

/// Shows `view` of what the resource holds, or why it holds nothing. While it is loaded for the
/// first time nothing is shown but, after a moment, a line that says so; while it is loaded again
/// what was there stays.
#[component]
pub fn Loaded<T, F, V>(
    /// What to wait for.
    resource: Resource<Result<T, ConsoleError>>,
    /// What to show of it.
    view: F,
) -> impl IntoView
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    F: Fn(T) -> V + Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    view! {
        <Transition fallback=|| view! { <Loading/> }>
            {move || {
                let view = view.clone();
                Suspend::new(async move {
                    match resource.await {
                        Ok(data) => Either::Left(view(data)),
                        Err(ConsoleError(problem)) => Either::Right(problem_page(problem)),
                    }
                })
            }}
        </Transition>
    }
}

fn problem_page(problem: Problem) -> impl IntoView {
    view! { <ProblemPage problem/> }
}

/// A line that says that something is on its way; CSS shows it only after a moment.
#[component]
pub fn Loading() -> impl IntoView {
    view! { <p class="loading" role="status">"Loading…"</p> }
}
