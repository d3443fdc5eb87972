//! Menus are `<details class="menu">` and open and close without a script. With a script, they also
//! close on Escape, on a click elsewhere and on navigation.

/// Registers the handlers that close menus, for as long as the console runs.
#[cfg(feature = "hydrate")]
pub fn close_menus_by_themselves() {
    use leptos::{ev, prelude::*};
    use wasm_bindgen::JsCast;
    use web_sys::{Element, HtmlElement, Node};

    Effect::new(|_| {
        let click = window_event_listener(ev::click, |event| {
            let clicked = event.target().and_then(|target| target.dyn_into::<Node>().ok());
            for menu in open_menus() {
                if !menu.contains(clicked.as_ref()) {
                    let _ = menu.remove_attribute("open");
                }
            }
        });
        let escape = window_event_listener(ev::keydown, |event| {
            if event.key() != "Escape" {
                return;
            }
            for menu in open_menus() {
                let _ = menu.remove_attribute("open");
                let summary: Option<Element> = menu.query_selector("summary").ok().flatten();
                if let Some(summary) = summary.and_then(|node| node.dyn_into::<HtmlElement>().ok())
                {
                    let _ = summary.focus();
                }
            }
        });
        on_cleanup(move || {
            click.remove();
            escape.remove();
        });
    });
}

/// Does nothing on the server.
#[cfg(not(feature = "hydrate"))]
pub fn close_menus_by_themselves() {}

/// Closes every menu after navigation, and the navigation pane where it covers the page.
#[cfg(feature = "hydrate")]
pub fn close_menus() {
    use leptos::prelude::document;
    use wasm_bindgen::JsCast;

    for menu in open_menus() {
        let _ = menu.remove_attribute("open");
    }
    let navigation = document().get_element_by_id("navigation");
    if let Some(navigation) =
        navigation.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
        && navigation.matches(":popover-open").unwrap_or(false)
    {
        let _ = navigation.hide_popover();
    }
}

/// Does nothing on the server.
#[cfg(not(feature = "hydrate"))]
pub fn close_menus() {}

#[cfg(feature = "hydrate")]
fn open_menus() -> Vec<web_sys::Element> {
    use leptos::prelude::document;
    use wasm_bindgen::JsCast;

    let Ok(menus) = document().query_selector_all("details.menu[open]") else { return Vec::new() };
    (0..menus.length())
        .filter_map(|index| menus.item(index)?.dyn_into::<web_sys::Element>().ok())
        .collect()
}
