//! A button that copies a value.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};

/// The state of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Copy {
    #[default]
    Ready,
    Copied,
    #[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "only browsers copy"))]
    Refused,
}

/// A button that copies the value or the text of the element with id `target`. If the browser
/// refuses, the button selects the value and shows which keys to press.
///
/// The button is hidden until a script runs: the hydrated console, or the small script of a page
/// that responds to a post.
#[component]
pub fn CopyButton(
    /// The id of the element to copy.
    #[prop(into)]
    target: String,
    /// The thing to copy, for the button's accessible name: "Copy token".
    #[prop(into)]
    what: String,
    /// Whether only the icon is shown.
    #[prop(optional)]
    small: bool,
    /// Called after a successful copy.
    #[prop(optional)]
    on_copied: Option<Callback<()>>,
) -> impl IntoView {
    let state = RwSignal::new(Copy::Ready);
    let ready = RwSignal::new(false);
    Effect::new(move |_| ready.set(true));
    let selector = format!("#{target}");
    let class = if small { "icon-button copy-button" } else { "button button-primary copy-button" };
    let label = move || match state.get() {
        Copy::Copied => "Copied",
        Copy::Ready | Copy::Refused => "Copy",
    };
    let told = move || match state.get() {
        Copy::Ready => "",
        Copy::Copied => "Copied",
        Copy::Refused => "Press Ctrl+C to copy",
    };
    view! {
        <button
            type="button"
            class=class
            class:is-copied=move || state.get() == Copy::Copied
            hidden=move || !ready.get()
            data-copy=selector
            on:click=move |_| copy(&target, state, on_copied)
        >
            <Icon glyph=Glyph::Copy class="icon copy-icon"/>
            <Icon glyph=Glyph::Check class="icon copied-icon"/>
            <span class=if small { "copy-label visually-hidden" } else { "copy-label" }>{label}</span>
            <span class="visually-hidden">{format!(" {what}")}</span>
        </button>
        <span class="copy-status" class:visually-hidden=small role="status">
            {told}
        </span>
    }
}

#[cfg(feature = "hydrate")]
fn copy(target: &str, state: RwSignal<Copy>, on_copied: Option<Callback<()>>) {
    use leptos::task::spawn_local;
    use wasm_bindgen::JsCast;
    use web_sys::HtmlInputElement;

    let Some(element) = document().get_element_by_id(target) else { return };
    let input = element.dyn_ref::<HtmlInputElement>().cloned();
    let text = match &input {
        Some(input) => input.value(),
        None => element.text_content().unwrap_or_default(),
    };
    let clipboard = window().navigator().clipboard();
    spawn_local(async move {
        // The clipboard is undefined outside a secure context.
        let written = !clipboard.is_undefined()
            && wasm_bindgen_futures::JsFuture::from(clipboard.write_text(&text)).await.is_ok();
        if written {
            state.set(Copy::Copied);
            if let Some(on_copied) = on_copied {
                on_copied.run(());
            }
            let back = move || {
                let _ = state.try_set(Copy::Ready);
            };
            set_timeout(back, std::time::Duration::from_secs(3));
        } else {
            if let Some(input) = input {
                let _ = input.focus();
                input.select();
            }
            state.set(Copy::Refused);
        }
    });
}

#[cfg(not(feature = "hydrate"))]
fn copy(_target: &str, _state: RwSignal<Copy>, _on_copied: Option<Callback<()>>) {}
