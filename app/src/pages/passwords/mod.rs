//! The pages that change the visitor's own password and that set a password through a
//! one-time link.
//!
//! The server sends both pages as documents that are never hydrated
//! (`server::console::page::still`). Their forms need no scripts, so a first visit loads none for
//! them. Links to them are `rel="external"`.

#[cfg(feature = "ssr")]
pub mod change;
#[cfg(feature = "ssr")]
pub mod fields;
#[cfg(feature = "ssr")]
pub mod redeem;

#[cfg(feature = "ssr")]
pub use self::{change::PasswordPage, redeem::ResetPasswordPage};

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
