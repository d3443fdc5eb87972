//! Invitations: those of a workspace, beside its members, and those of the person who is signed in.
//!
//! The server sends both pages as documents that stay as they are (`server::console::page::still_signed_in`):
//! forms like these need no scripts, and a first visit loads nothing for them. Links to them are
//! `rel="external"`.

#[cfg(feature = "ssr")]
pub mod members;
#[cfg(feature = "ssr")]
pub mod own;

#[cfg(feature = "ssr")]
pub use self::{members::MembersPage, own::InvitationsPage};

#[cfg(not(feature = "ssr"))]
pub mod absent {
    //! Nothing: only the server shows these pages.

    use leptos::prelude::*;

    /// Only the server shows it.
    #[component]
    pub fn MembersPage() -> impl IntoView {}

    /// Only the server shows it.
    #[component]
    pub fn InvitationsPage() -> impl IntoView {}
}

#[cfg(not(feature = "ssr"))]
pub use absent::{InvitationsPage, MembersPage};
