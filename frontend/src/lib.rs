//! The console in the browser: hydrates the HTML that the server rendered.
//!
//! Invariant: this crate contains only [`hydrate`]. Pages and components belong to the crate `app`,
//! which this crate compiles with the feature `hydrate`.

use wasm_bindgen::prelude::wasm_bindgen;

/// Attaches the console to the page's `<body>`. `loader.js` calls it once, after the module is
/// ready. A panic appears as text in the browser's console.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
}
