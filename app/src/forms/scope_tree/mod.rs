//! The tree of scopes: [`model`] decides what its boxes show, [`ScopeTree`] lets the visitor
//! choose, and [`ScopeList`] shows the scopes of a token.

pub mod group;
pub mod item;
pub mod model;
pub mod read_only;
pub mod view;

pub use read_only::ScopeList;
pub use view::ScopeTree;
