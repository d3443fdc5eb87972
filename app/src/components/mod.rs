//! The building blocks of pages and forms. One component per file.

pub mod breadcrumbs;
pub mod copy_button;
pub mod empty;
pub mod empty_art;
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
pub mod snippets;
