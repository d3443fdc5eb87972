//! Content that waits for a resource.

use domain::problem::Problem;
use leptos::{either::Either, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

use super::problem::ProblemPage;
use crate::problem::ConsoleError;

/// The `view` of a resource's value, or the problem if loading failed. During the first load, it
/// shows nothing at first and, after a moment, a loading line. During a reload, the previous
/// content stays.
#[component]
pub fn Loaded<T, F, V>(
    /// The resource to wait for.
    resource: Resource<Result<T, ConsoleError>>,
    /// The function that renders the value.
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

/// A loading line. CSS shows it only after a moment.
#[component]
pub fn Loading() -> impl IntoView {
    view! { <p class="loading" role="status">"Loading…"</p> }
}
