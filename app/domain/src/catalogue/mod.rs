//! Audiences and their scopes.
//!
//! - `scope_name`: the text of one scope, an exact name or a URI pattern.
//! - `tree`: a catalogue, which describes a whole audience: groups of scopes, each scope with a
//!   description, a risk and the scopes that it implies. A catalogue is read from a file, stored,
//!   and shown.
//! - `stored`: an audience as its administrators see it.

mod scope_name;
mod stored;
mod tree;

pub use crate::scope_pattern::URI_MAX;
pub use scope_name::{SCOPE_MAX, ScopeName};
pub use stored::{Audience, CatalogueChanges, ScopeEntry, ScopeUses, TokenUse};
pub use tree::{Catalogue, CatalogueError, Risk, Scope, ScopeGroup};

/// The audience of Tessera's own API: its scopes let a token manage tokens.
pub const TESSERA_AUDIENCE: &str = "tessera";
/// The audience that a new instance starts with for the API that it protects.
pub const DEFAULT_AUDIENCE: &str = "default";
