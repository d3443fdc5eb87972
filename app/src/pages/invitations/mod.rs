//! The invitations of a workspace, beside its members, and the invitations of the signed-in user.
//!
//! The server sends both pages as documents that are never hydrated
//! (`server::console::page::still_signed_in`). Their forms need no scripts, so a first visit loads
//! none for them. Links to them are `rel="external"`.

#[cfg(feature = "ssr")]
pub mod members;
#[cfg(feature = "ssr")]
pub mod own;

#[cfg(feature = "ssr")]
pub use self::{members::MembersPage, own::InvitationsPage};

#[cfg(not(feature = "ssr"))]
pub mod absent {
    //! Placeholders: only the server renders these pages.

    use leptos::prelude::*;

    /// Renders nothing, because only the server renders this page.
    #[component]
    pub fn MembersPage() -> impl IntoView {}

    /// Renders nothing, because only the server renders this page.
    #[component]
    pub fn InvitationsPage() -> impl IntoView {}
}

#[cfg(not(feature = "ssr"))]
pub use absent::{InvitationsPage, MembersPage};
