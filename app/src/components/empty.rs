//! What a list shows when it has nothing to show.

use leptos::prelude::*;

/// An empty list: what could be here, and how to get it.
#[component]
pub fn Empty(
    /// What is empty.
    #[prop(into)]
    title: String,
    /// Whether it only fills the place of some rows.
    #[prop(optional)]
    small: bool,
    /// What to do about it.
    children: Children,
) -> impl IntoView {
    view! {
        <section class="empty" class:empty-small=small>
            <h2>{title}</h2>
            {children()}
        </section>
    }
}
