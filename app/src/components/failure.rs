//! What a page shows instead of itself when a server function failed.

use leptos::prelude::*;

use super::problem::ProblemPage;
use crate::problem::ConsoleError;

/// The error of a server function as the whole of a page.
#[component]
pub fn Failure(
    /// The error.
    error: ConsoleError,
) -> impl IntoView {
    view! { <ProblemPage problem=error.0/> }
}
