//! Ready-made calls with a new token, one per language.
//!
//! Switching and hiding use only CSS (`:has`), so they work without scripts. Browsers without
//! `:has` show all calls.

mod texts;

use leptos::prelude::*;

pub use self::texts::{SNIPPETS, Snippet, dotenv};
use crate::{components::copy_button::CopyButton, posted::Secret};

/// The calls, including the secret.
#[component]
pub fn Snippets(
    /// The secret.
    secret: Secret,
    /// Called after a call was copied with its secret.
    #[prop(into)]
    on_copied: Callback<()>,
) -> impl IntoView {
    let tabs = SNIPPETS.map(|snippet| {
        view! {
            <label class="tab">
                <input type="radio" name="snippet" value=snippet.key checked=snippet.key == "curl"/>
                <span>{snippet.label}</span>
            </label>
        }
    });
    let texts = SNIPPETS.map(|snippet| {
        let id = format!("snippet-{}", snippet.key);
        let secret = snippet
            .after
            .map(|_| view! { <span class="snippet-secret">{secret.expose().to_owned()}</span> });
        let done = Callback::new(move |()| {
            if snippet.after.is_some() {
                on_copied.run(());
            }
        });
        view! {
            <div class="snippet" data-snippet=snippet.key>
                <pre class="code" id=id.clone() tabindex="0" aria-label=snippet.label><code>
                    {snippet.before}{secret}{snippet.after}
                </code></pre>
                <CopyButton target=id what=format!("the {} snippet", snippet.label) small=true on_copied=done/>
            </div>
        }
    });
    view! {
        <section class="snippets" aria-labelledby="snippets-title">
            <h2 class="section-title" id="snippets-title">"Use the token"</h2>
            <div class="snippets-bar">
                <fieldset class="tabs">
                    <legend class="visually-hidden">"Language"</legend>
                    {tabs}
                </fieldset>
                <label class="check-inline">
                    <input class="checkbox hide-secret" type="checkbox"/>
                    <span>"Hide the token"</span>
                </label>
            </div>
            {texts}
        </section>
    }
}
