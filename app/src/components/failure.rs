//! The replacement for a page whose server function failed.

use leptos::prelude::*;

use super::problem::ProblemPage;
use crate::problem::ConsoleError;

/// The error of a server function, shown as a whole page.
#[component]
pub fn Failure(
    /// The error.
    error: ConsoleError,
) -> impl IntoView {
    view! { <ProblemPage problem=error.0/> }
}
