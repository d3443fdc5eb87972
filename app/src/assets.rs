//! The addresses of the console's files. Their names contain a hash that only the server has, so it
//! passes them to the document as a context.

use std::sync::Arc;

/// The URL paths of the files that a page needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assets {
    /// The style sheet.
    pub css: Arc<str>,
    /// The JavaScript bindings of the WebAssembly module.
    pub js: Arc<str>,
    /// The WebAssembly module.
    pub wasm: Arc<str>,
    /// The script that loads both and hydrates the page.
    pub loader: Arc<str>,
}
