//! The console in the browser: makes the HTML that the server rendered come alive.
//!
//! Invariant: nothing but [`hydrate`]. Pages and components belong to the crate `app`, which this
//! one compiles with the feature `hydrate`.

use wasm_bindgen::prelude::wasm_bindgen;

/// Attaches the console to the page's `<body>`. `loader.js` calls it once, after the module is
/// ready; a panic ends up in the browser's console as text.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
}
