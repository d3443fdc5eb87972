//! The building blocks of pages. One component per file.

pub mod breadcrumbs;
pub mod confirm;
pub mod copy_button;
pub mod empty;
pub mod empty_art;
pub mod expiry;
pub mod failure;
pub mod flash;
pub mod heading;
pub mod icon;
pub mod live;
pub mod loaded;
pub mod logo;
pub mod menus;
pub mod moment;
pub mod panel;
pub mod problem;
pub mod reveal;
pub mod scope_tree;
pub mod snippets;
pub mod summary;
