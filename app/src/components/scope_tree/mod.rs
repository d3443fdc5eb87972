//! The tree of scopes: [`model`] says what its boxes show, [`ScopeTree`] is for choosing, and
//! [`ScopeList`] shows what a token holds.

pub mod group;
pub mod item;
pub mod model;
pub mod read_only;
pub mod view;

pub use read_only::ScopeList;
pub use view::ScopeTree;
