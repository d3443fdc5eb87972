//! Tessera's console: one app, compiled twice. The server renders every page to HTML (feature
//! `ssr`); the browser hydrates that HTML (feature `hydrate`).
//!
//! Invariants:
//! - Reading never needs JavaScript. The server's HTML contains the complete page, and every change
//!   is a plain form post, handled by `server::console`.
//! - Server functions only read. Nothing in [`fns`] changes anything.
//! - A secret never appears in a resource, a URL, browser storage or a log: see [`posted::Secret`].
//! - The browser's first render equals the server's HTML. Anything that only the browser has (its
//!   clock, its time zone, its clipboard) arrives in an effect.
//!
//! To add a page: add a file in the folder of its noun in [`pages`], a line in [`app`](mod@app) and a
//! route in `server::console`.

#![recursion_limit = "256"]
#![expect(clippy::needless_pass_by_value, reason = "a component owns its properties")]
#![cfg_attr(
    feature = "ssr",
    expect(clippy::result_large_err, reason = "one problem is created per failed request")
)]

pub mod app;
pub mod assets;
pub mod components;
#[expect(
    missing_docs,
    reason = "the server macro makes a struct per function; its fields are the arguments"
)]
pub mod fns;
pub mod forms;
pub mod next;
pub mod notice;
pub mod pages;
pub mod posted;
pub mod problem;
#[cfg(feature = "ssr")]
pub mod request;
pub mod shell;
#[cfg(feature = "ssr")]
pub mod status;
pub mod theme;

pub use app::App;
pub use shell::{Document, shell};
#[cfg(feature = "ssr")]
pub use shell::{kept_shell, problem_shell};
