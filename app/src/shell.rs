//! The HTML document around the console.

use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::{MetaTags, provide_meta_context};

use crate::{App, assets::Assets, theme::use_theme};

/// Whether the browser takes the page over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The page answers a GET: the browser loads the console and hydrates it.
    Hydrated,
    /// The page answers a post and shows what nobody else may know: typed values, a secret. It
    /// stays as it is; a small script copies and shows passwords.
    Static,
}

/// The script of pages that answer a post.
const STATIC_SCRIPT: &str = include_str!("static.js");

/// The console in its document.
pub fn shell(document: Document) -> impl IntoView {
    around(document, || view! { <App/> }.into_any())
}

/// A page that says why there is no other, for when not even the frame can be shown.
#[cfg(feature = "ssr")]
pub fn problem_shell(problem: domain::problem::Problem) -> impl IntoView {
    use crate::pages::failed::FailedPage;

    around(Document::Static, move || view! { <FailedPage problem/> }.into_any())
}

/// A page that keeps what was typed into a form whose session had ended.
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
            // Where scripts are off, nobody waits for what only scripts use.
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
