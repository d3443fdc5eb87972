//! Where the browser finds the console's files. The server knows their hashed names and gives
//! them to the document as a context.

use std::sync::Arc;

/// URL paths of the files that a page needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assets {
    /// The style sheet.
    pub css: Arc<str>,
    /// The JavaScript side of the WebAssembly module.
    pub js: Arc<str>,
    /// The WebAssembly module.
    pub wasm: Arc<str>,
    /// The script that loads the two and hydrates.
    pub loader: Arc<str>,
}
