//! The HTML document around the console.

use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::{MetaTags, provide_meta_context};

use crate::{App, assets::Assets, theme::use_theme};

/// Whether the browser hydrates the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The page responds to a GET, and the browser loads the console and hydrates it.
    Hydrated,
    /// The page is never hydrated. It either responds to a post and contains values that only
    /// this response has (typed values, a secret), or needs no scripts. A small script copies and
    /// shows passwords.
    Static,
}

/// The script of pages that are not hydrated.
const STATIC_SCRIPT: &str = include_str!("static.js");

/// Renders the console in its document.
pub fn shell(document: Document) -> impl IntoView {
    around(document, || view! { <App/> }.into_any())
}

/// Renders a page that only shows a problem, for cases in which not even the frame can be shown.
#[cfg(feature = "ssr")]
pub fn problem_shell(problem: domain::problem::Problem) -> impl IntoView {
    use crate::pages::failed::FailedPage;

    around(Document::Static, move || view! { <FailedPage problem/> }.into_any())
}

/// Renders a page that keeps the values of a form that was submitted after its session had expired.
#[cfg(feature = "ssr")]
pub fn kept_shell() -> impl IntoView {
    use crate::pages::kept::KeptPage;

    around(Document::Static, || view! { <KeptPage/> }.into_any())
}

fn around(document: Document, body: impl FnOnce() -> AnyView) -> impl IntoView {
    provide_meta_context();
    let assets = use_context::<Assets>().unwrap_or_default();
    let nonce = use_nonce();
    let scripts = match document {
        Document::Hydrated => view! {
            // `media="(scripting)"` keeps browsers with scripts disabled from loading these files.
            <link
                rel="modulepreload"
                href=assets.js.to_string()
                media="(scripting)"
                nonce=nonce.clone()
            />
            <link
                rel="preload"
                href=assets.wasm.to_string()
                r#as="fetch"
                r#type="application/wasm"
                media="(scripting)"
                crossorigin="anonymous"
            />
            <script
                type="module"
                nonce=nonce
                src=assets.loader.to_string()
                id="loader"
                data-js=assets.js.to_string()
                data-wasm=assets.wasm.to_string()
            ></script>
        }
        .into_any(),
        Document::Static => {
            view! { <script type="module" nonce=nonce>{STATIC_SCRIPT}</script> }.into_any()
        }
    };
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=use_theme().as_str()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="stylesheet" href=assets.css.to_string()/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                {scripts}
                <MetaTags/>
            </head>
            <body>{body()}</body>
        </html>
    }
}
