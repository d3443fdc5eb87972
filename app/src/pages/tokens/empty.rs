//! The replacement for an empty list: no token was created yet, or none match.

use domain::access::TokenReach;
use leptos::prelude::*;

use super::{paths::Paths, place::Place, status};
use crate::components::{
    empty_art::EmptyArt,
    icon::{Glyph, Icon},
};

/// The message that no token was created yet: what a token is, and a link to create the first.
#[component]
pub fn NoTokens(
    /// The workspace's paths.
    paths: Memo<Paths>,
    /// The tokens that the visitor can reach.
    reach: Memo<TokenReach>,
) -> impl IntoView {
    let title = move || match reach.get() {
        TokenReach::Own => "You have no tokens yet",
        _ => "No tokens yet",
    };
    view! {
        <section class="empty" aria-labelledby="empty-title">
            <EmptyArt/>
            <h2 id="empty-title">{title}</h2>
            <p>
                "A token lets a program call your API as the token's owner. It is limited to the \
                 scopes and the expiry that you choose."
            </p>
            <p class="empty-actions">
                {move || reach.get().manages().then(|| view! {
                    <a class="button button-primary"
                        href=move || paths.with(|paths| paths.new_token(&Place::default()))>
                        <Icon glyph=Glyph::Plus/>
                        <span>"Add Token"</span>
                    </a>
                })}
                <a class="button" href="/api/docs" rel="external">"API reference"</a>
            </p>
            <pre class="code" tabindex="0" aria-label="A call with a token"><code>
                "curl -X POST \"https://api.example.com/api/run\" \\\n  \
                 -H \"Authorization: Bearer {token}\""
            </code></pre>
        </section>
    }
}

/// The message that no token matches the search.
#[component]
pub fn NoMatch(
    /// The search.
    place: Place,
    /// The workspace's paths.
    paths: Paths,
) -> impl IntoView {
    let clear = paths.list(&Place { sort: place.sort, ..Place::default() });
    let q = place.q.clone();
    let searched =
        (!q.is_empty()).then(|| view! { " with “"<bdi>{q}</bdi>"” in the name, hint or owner" });
    let state = place.state.map(|state| {
        let joint = if place.q.is_empty() { " with status " } else { " and status " };
        view! { {joint}<strong>{status::label(state)}</strong> }
    });
    let (heading, sentence) = if place.is_filtered() {
        let unused = place.never_used.then_some(" unused");
        (
            "No matching tokens",
            view! { "There are no"{unused}" tokens"{searched}{state}"." }.into_any(),
        )
    } else {
        ("This page is empty", "The tokens on this page have been deleted.".into_any())
    };
    view! {
        <section class="empty empty-small" aria-labelledby="empty-title">
            <h2 id="empty-title">{heading}</h2>
            <p>{sentence}</p>
            <p class="empty-actions">
                <a class="button" href=clear>
                    {if place.is_filtered() { "Clear filters" } else { "First page" }}
                </a>
            </p>
        </section>
    }
}
