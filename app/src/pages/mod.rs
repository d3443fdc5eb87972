//! The console's pages, `<noun>/<verb>.rs`, and the frames around them.

pub mod account_menu;
pub mod auth;
pub mod crumbs;
#[cfg(feature = "ssr")]
pub mod failed;
pub mod frame;
pub mod instance;
pub mod invitations;
#[cfg(feature = "ssr")]
pub mod kept;
pub mod members;
pub mod not_found;
pub mod passwords;
pub mod sessions;
pub mod setup;
pub mod sidebar;
pub mod tokens;
pub mod workspaces;
