//! The members of a workspace, and the invitations to it.
//!
//! The server sends the page as a document that is never hydrated
//! (`server::console::page::still_signed_in`). Its forms need no scripts, so a first visit loads
//! none for them. Links to it are `rel="external"`.

#[cfg(feature = "ssr")]
pub mod list;
pub mod member_list;

#[cfg(feature = "ssr")]
pub use list::MembersPage;

#[cfg(not(feature = "ssr"))]
pub mod absent {
    //! Placeholder: only the server renders this page.

    use leptos::prelude::*;

    /// Renders nothing, because only the server renders this page.
    #[component]
    pub fn MembersPage() -> impl IntoView {}
}

#[cfg(not(feature = "ssr"))]
pub use absent::MembersPage;
