//! The page for unknown addresses.

use domain::problem::{Problem, ProblemCode};
use leptos::prelude::*;

use super::frame::AppFrame;
use crate::components::problem::ProblemPage;

/// The page for unknown addresses.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    #[cfg(feature = "ssr")]
    crate::status::set_status(404);
    let problem = Problem::new(ProblemCode::NotFound, "There is no page at this address.");
    view! {
        <AppFrame>
            <ProblemPage problem/>
        </AppFrame>
    }
}
