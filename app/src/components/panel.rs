//! A dialog that has its own page.
//!
//! The server renders it open, as a page; CSS hides the list behind it. After navigation from the
//! list, it is a modal dialog over the list. Closing it leads back to the list.

use leptos::{html::Dialog, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::{
    heading::DocumentTitle,
    icon::{Glyph, Icon},
    live::use_announcer,
};

/// Returns whether the page under construction is the one that the server rendered. That is the
/// case on the server, and in the browser during hydration.
pub fn is_first_page() -> bool {
    Owner::current_shared_context()
        .is_none_or(|context| !context.is_browser() || context.during_hydration())
}

/// A dialog that has its own page.
#[component]
pub fn Panel(
    /// The heading.
    #[prop(into)]
    title: Signal<String>,
    /// The target of closing it: the list below the dialog.
    #[prop(into)]
    close_href: Signal<String>,
    /// The line below the heading.
    #[prop(optional)]
    lead: Option<AnyView>,
    /// The size class: `panel-wide` or `panel-small`.
    #[prop(default = "")]
    size: &'static str,
    /// Called before the dialog closes; `false` keeps it open.
    #[prop(optional)]
    may_close: Option<Callback<(), bool>>,
    /// The body and foot.
    children: Children,
) -> impl IntoView {
    let as_page = is_first_page();
    let node = NodeRef::<Dialog>::new();
    if !as_page {
        open_over_list(node);
    }
    let navigate = use_navigate();
    let close = Callback::new(move |()| {
        if may_close.is_none_or(|may_close| may_close.run(())) {
            let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
            navigate(&close_href.get_untracked(), options);
        }
    });
    let announcer = use_announcer();
    view! {
        <DocumentTitle text=title/>
        <dialog
            class=format!("panel {size}")
            class:page=as_page
            open=as_page
            id="panel"
            aria-labelledby="panel-title"
            node_ref=node
            on:cancel=move |event: leptos::ev::Event| {
                event.prevent_default();
                close.run(());
            }
        >
            <header class="panel-head">
                <div>
                    <h1 id="panel-title" tabindex="-1">
                        {title}
                    </h1>
                    {lead.map(|lead| view! { <p class="panel-lead">{lead}</p> })}
                </div>
                <a
                    class="icon-button panel-close"
                    href=close_href
                    aria-label="Close"
                    on:click=move |event| {
                        event.prevent_default();
                        close.run(());
                    }
                >
                    <Icon glyph=Glyph::Close/>
                </a>
            </header>
            <div class="panel-live visually-hidden" role="status">
                {move || announcer.polite().get()}
            </div>
            {children()}
        </dialog>
    }
}

/// Shows the dialog over the page. When the dialog is removed, returns the focus to the element
/// that had it before.
#[cfg(feature = "hydrate")]
fn open_over_list(node: NodeRef<Dialog>) {
    use leptos::reactive::owner::LocalStorage;
    use wasm_bindgen::JsCast;
    use web_sys::HtmlElement;

    let opener = StoredValue::<Option<HtmlElement>, LocalStorage>::new_local(
        document().active_element().and_then(|element| element.dyn_into().ok()),
    );
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        // The dialog is created before it is inserted into the page.
        request_animation_frame(move || {
            if !dialog.is_connected() || dialog.open() {
                return;
            }
            let _ = dialog.show_modal();
            let first = dialog
                .query_selector("[autofocus]")
                .ok()
                .flatten()
                .or_else(|| dialog.query_selector("#panel-title").ok().flatten());
            if let Some(first) = first.and_then(|first| first.dyn_into::<HtmlElement>().ok()) {
                let _ = first.focus();
            }
        });
    });
    on_cleanup(move || {
        let opener = opener.try_get_value().flatten();
        request_animation_frame(move || focus_again(opener));
    });
}

#[cfg(not(feature = "hydrate"))]
fn open_over_list(_node: NodeRef<Dialog>) {}

/// Focuses the element that opened the dialog, or the heading if that element is gone. Does nothing
/// if another dialog is open or another element has the focus.
#[cfg(feature = "hydrate")]
fn focus_again(opener: Option<web_sys::HtmlElement>) {
    use wasm_bindgen::JsCast;

    let document = document();
    let busy = document.query_selector("dialog[open]").ok().flatten().is_some()
        || document.active_element().is_some_and(|element| element.tag_name() != "BODY");
    if busy {
        return;
    }
    let opener = opener.filter(|opener| opener.is_connected() && opener.tag_name() != "BODY");
    let heading = || {
        let heading = document.query_selector("main h1").ok().flatten()?;
        heading.dyn_into::<web_sys::HtmlElement>().ok()
    };
    if let Some(element) = opener.or_else(heading) {
        let _ = element.focus();
    }
}
