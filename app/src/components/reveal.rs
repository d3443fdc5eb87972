//! A new token's secret, shown once: in the response to a post, and in the dialog of the hydrated
//! page. The secret appears only in the page's text.

use leptos::{html, prelude::*};

use super::{
    copy_button::CopyButton,
    icon::{Glyph, Icon},
    moment::exact,
    snippets::Snippets,
};
use crate::posted::Minted;

/// The reason for showing a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The token was just created.
    #[default]
    Created,
    /// The token was rotated and has a new secret.
    Rotated,
    /// The token is recoverable, and the visitor requested its secret.
    Shown,
}

/// The body and foot of the panel that shows a token's secret.
#[component]
pub fn Reveal(
    /// The token and its secret.
    minted: Minted,
    /// The target of Done: the list with the new row marked.
    done_href: String,
    /// Set after the secret was copied or saved.
    kept: RwSignal<bool>,
    /// Called before Done leads away; `false` stays on the page.
    may_leave: Callback<(), bool>,
    /// The reason for showing the secret.
    #[prop(optional)]
    kind: Kind,
) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            // Runs after the panel has set the initial focus.
            request_animation_frame(move || {
                let _ = field.focus();
                field.select();
            });
        }
    });
    let keep = Callback::new(move |()| kept.set(true));
    let secret = minted.secret.clone();
    let hint = match minted.token.expires_at {
        Some(end) => format!("Treat it like a password. It expires on {}.", exact(end)),
        None => "Treat it like a password. It never expires.".to_owned(),
    };
    view! {
        <div class="panel-body reveal">
            <div class="notice notice-warning" role="note">
                <Icon glyph=Glyph::Warning/>
                <p>{warning(kind, &minted)}</p>
            </div>
            {minted.children_pending.then(pending)}
            <div class="field">
                <label class="label" for="secret">"Token"</label>
                <div class="secret-row">
                    <input class="input secret" id="secret" type="text" readonly node_ref=field
                        autofocus value=secret.expose().to_owned() spellcheck="false"
                        autocomplete="off" autocapitalize="off" aria-describedby="secret-hint"
                        data-1p-ignore data-lpignore="true" on:copy=move |_| keep.run(())/>
                    <CopyButton target="secret" what="token" on_copied=keep/>
                </div>
                <p class="field-hint" id="secret-hint">{hint}</p>
                <p class="reveal-save needs-script">
                    <SaveButton secret=secret.clone() name=minted.token.name.clone() keep/>
                </p>
            </div>
            <Snippets secret on_copied=keep/>
        </div>
        <footer class="panel-foot form-actions">
            <a class="button button-primary" href=done_href
                on:click=move |event| {
                    if !may_leave.run(()) {
                        event.prevent_default();
                    }
                }>
                "Done"
            </a>
        </footer>
    }
}

/// Warns that tokens created with the old secret may still work.
fn pending() -> impl IntoView {
    view! {
        <div class="notice notice-warning" role="note">
            <Icon glyph=Glyph::Warning/>
            <p>
                <strong>"Some tokens created with this token still work."</strong>
                " Tessera keeps disabling them. The token list shows the ones that still work."
            </p>
        </div>
    }
}

/// Returns the warning above the secret.
fn warning(kind: Kind, minted: &Minted) -> AnyView {
    if minted.token.recoverable {
        let seen = match kind {
            Kind::Shown => "The audit log records that you viewed its secret.",
            Kind::Created | Kind::Rotated => "Users with permission can view its secret again.",
        };
        return view! { <strong>"This token is recoverable."</strong>" "{seen} }.into_any();
    }
    let older = match (kind, minted.token.grace_until) {
        (Kind::Rotated, Some(end)) => format!(" The old secret works until {}.", exact(end)),
        (Kind::Rotated, None) => " The old secret no longer works.".to_owned(),
        _ => String::new(),
    };
    view! {
        <strong>"The token can only be viewed at this time."</strong>
        " Copy it now and save it. Tessera stores only a digest."
        {older}
    }
    .into_any()
}

/// A button that saves the secret as a file of environment variables.
#[component]
fn SaveButton(secret: crate::posted::Secret, name: String, keep: Callback<()>) -> impl IntoView {
    let on_click = move |_| {
        if save(&super::snippets::dotenv(secret.expose())) {
            keep.run(());
        }
    };
    view! {
        <button class="button button-small" type="button" on:click=on_click>
            "Download .env"<span class="visually-hidden">{format!(" of {name}")}</span>
        </button>
    }
}

/// Downloads `text` as the file `tessera.env`. The content stays in the browser's memory and never
/// becomes part of a URL that the browser would keep.
#[cfg(feature = "hydrate")]
fn save(text: &str) -> bool {
    use wasm_bindgen::JsCast;
    use web_sys::{Blob, HtmlAnchorElement, Url};

    let parts = js_sys::Array::of1(&text.into());
    let Ok(blob) = Blob::new_with_str_sequence(&parts) else { return false };
    let Ok(url) = Url::create_object_url_with_blob(&blob) else { return false };
    let link = document().create_element("a").ok();
    let link = link.and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok());
    let saved = link.is_some_and(|link| {
        link.set_href(&url);
        // Some browsers change a name that begins with a dot.
        link.set_download("tessera.env");
        link.click();
        true
    });
    let _ = Url::revoke_object_url(&url);
    saved
}

#[cfg(not(feature = "hydrate"))]
fn save(_text: &str) -> bool {
    false
}
