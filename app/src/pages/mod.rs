//! The console's pages. One file per page, named like its path.

pub mod account_menu;
pub mod auth;
pub mod crumbs;
#[cfg(feature = "ssr")]
pub mod failed;
pub mod first_steps;
pub mod frame;
pub mod instance;
pub mod invitations;
#[cfg(feature = "ssr")]
pub mod kept;
pub mod member_list;
pub mod not_found;
pub mod overview;
pub mod password;
pub mod recent;
pub mod settings;
pub mod setup;
pub mod sidebar;
pub mod sign_in;
pub mod tokens;
pub mod workspaces;
