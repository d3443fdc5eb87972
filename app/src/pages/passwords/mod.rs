//! The pages that change the visitor's own password and that set a password through a
//! one-time link.
//!
//! The server sends both pages as documents that are never hydrated
//! (`server::console::page::still`). Their forms need no scripts, so a first visit loads none for
//! them. Links to them are `rel="external"`.

#[cfg(feature = "ssr")]
pub mod rendered;

#[cfg(feature = "ssr")]
pub use rendered::{PasswordPage, ResetPasswordPage};

#[cfg(not(feature = "ssr"))]
pub mod absent {
    //! Placeholders: only the server renders these pages.

    use leptos::prelude::*;

    /// Renders nothing, because only the server renders this page.
    #[component]
    pub fn PasswordPage() -> impl IntoView {}

    /// Renders nothing, because only the server renders this page.
    #[component]
    pub fn ResetPasswordPage() -> impl IntoView {}
}

#[cfg(not(feature = "ssr"))]
pub use absent::{PasswordPage, ResetPasswordPage};
