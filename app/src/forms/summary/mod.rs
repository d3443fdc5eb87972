//! A description of what a token may do, in plain words.

mod sentence;

use leptos::prelude::*;

pub use self::sentence::{Part, Subject, plain, sentence};

/// The sentences that [`sentence`] builds.
#[component]
pub fn Sentence(
    /// The pieces of the sentences.
    #[prop(into)]
    parts: Signal<Vec<Part>>,
) -> impl IntoView {
    move || {
        parts
            .get()
            .into_iter()
            .map(|part| match part {
                Part::Text(text) => text.into_any(),
                Part::Strong(text) => view! { <strong><bdi>{text}</bdi></strong> }.into_any(),
                Part::Em(text) => view! { <em><bdi>{text}</bdi></em> }.into_any(),
            })
            .collect_view()
    }
}
