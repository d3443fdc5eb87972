//! The placeholder of an empty list.

use leptos::prelude::*;

/// An empty list: what it would contain, and how to add to it.
#[component]
pub fn Empty(
    /// The heading.
    #[prop(into)]
    title: String,
    /// Whether it only replaces the rows of a list.
    #[prop(optional)]
    small: bool,
    /// The advice on what the visitor can do.
    children: Children,
) -> impl IntoView {
    view! {
        <section class="empty" class:empty-small=small>
            <h2>{title}</h2>
            {children()}
        </section>
    }
}
