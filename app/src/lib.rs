//! Tessera's console: one app, compiled twice. The server renders every page to HTML (feature
//! `ssr`); the browser takes that HTML over (feature `hydrate`).
//!
//! Invariants:
//! - Reading never needs JavaScript. Every page is complete in the server's HTML and every change
//!   is a plain form post, handled by `server::console`.
//! - Server functions only read. Nothing is changed by way of [`fns`].
//! - A secret is never in a resource, a URL, a storage or a log: see [`posted::Secret`].
//! - What the browser renders first is exactly what the server rendered: anything that only the
//!   browser knows (its clock, its time zone, its clipboard) arrives in an effect.
//!
//! To add a page: one file below [`pages`], a line in [`app`], a route in `server::console`.

#![recursion_limit = "256"]
#![expect(clippy::needless_pass_by_value, reason = "a component owns its properties")]
#![cfg_attr(
    feature = "ssr",
    expect(clippy::result_large_err, reason = "a problem is made once per failed request")
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
pub mod theme;

pub use app::App;
pub use shell::{Document, shell};
#[cfg(feature = "ssr")]
pub use shell::{kept_shell, problem_shell};
