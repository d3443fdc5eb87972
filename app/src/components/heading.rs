//! The heading of a page, which takes the focus after navigation from another page.

use leptos::{html::H1, prelude::*};

use super::panel::is_first_page;

/// The page's `<h1>`. Its text is also the document's title.
#[component]
pub fn Heading(
    /// Its text.
    #[prop(into)]
    text: Signal<String>,
) -> impl IntoView {
    let node = NodeRef::<H1>::new();
    take_focus(node);
    view! {
        <DocumentTitle text/>
        <h1 tabindex="-1" node_ref=node>
            {text}
        </h1>
    }
}

/// The document's title.
///
/// The server's renderer reads the title after the page, perhaps on another thread, where the
/// page's signals are not available. The server therefore reads the text immediately; only in the
/// browser can it change.
#[component]
pub fn DocumentTitle(
    /// Its text, without the product's name.
    #[prop(into)]
    text: Signal<String>,
) -> impl IntoView {
    #[cfg(feature = "ssr")]
    let text = text.get_untracked();
    view! { <leptos_meta::Title text/> }
}

/// Focuses an element once it is in the page, unless it was part of the first page.
fn take_focus(node: NodeRef<H1>) {
    let first_page = is_first_page();
    Effect::new(move |_| {
        let Some(heading) = node.get() else { return };
        if !first_page {
            // The element is created before it is inserted into the page.
            request_animation_frame(move || {
                let _ = heading.focus();
            });
        }
    });
}

/// The heading, lead and actions at the top of a page.
#[component]
pub fn PageHead(
    /// The heading.
    #[prop(into)]
    title: Signal<String>,
    /// The line below the heading.
    #[prop(optional)]
    lead: Option<AnyView>,
    /// The buttons at the end of the line.
    #[prop(optional_no_strip)]
    actions: Option<AnyView>,
) -> impl IntoView {
    view! {
        <div class="page-head">
            <div class="page-title">
                <Heading text=title/>
                {lead.map(|lead| view! { <p class="page-lead">{lead}</p> })}
            </div>
            {actions.map(|actions| view! { <div class="page-actions">{actions}</div> })}
        </div>
    }
}
