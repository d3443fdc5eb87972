//! Change one's own password, and set one by a one-time link.
//!
//! The server sends both pages as documents that stay as they are (`server::console::page::still`): forms
//! like these need no scripts, and a first visit loads nothing for them. Links to them are `rel="external"`.

#[cfg(feature = "ssr")]
pub mod rendered;

#[cfg(feature = "ssr")]
pub use rendered::{PasswordPage, ResetPasswordPage};

#[cfg(not(feature = "ssr"))]
pub mod absent {
    //! Nothing: only the server shows these pages.

    use leptos::prelude::*;

    /// Only the server shows it.
    #[component]
    pub fn PasswordPage() -> impl IntoView {}

    /// Only the server shows it.
    #[component]
    pub fn ResetPasswordPage() -> impl IntoView {}
}

#[cfg(not(feature = "ssr"))]
pub use absent::{PasswordPage, ResetPasswordPage};
