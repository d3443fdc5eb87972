//! Audiences and the scopes that each of them knows.
//!
//! - `scope_name`: the text of one scope, an exact name or a URI pattern.
//! - `tree`: a catalogue, which is the whole of one audience: groups of scopes, each scope with a
//!   description, a risk and the scopes that it implies. It is read from a file, stored, and shown.
//! - `stored`: an audience as those see it who manage it.

mod scope_name;
mod stored;
mod tree;

pub use scope_name::{SCOPE_MAX, ScopeName, URI_MAX};
pub use stored::{Audience, CatalogueChanges, ScopeEntry, ScopeUses, TokenUse};
pub use tree::{Catalogue, CatalogueError, Risk, Scope, ScopeGroup};

/// The audience of Tessera's own API: its scopes let a token manage tokens.
pub const TESSERA_AUDIENCE: &str = "tessera";
/// The audience that a new instance starts with for the API that it protects.
pub const DEFAULT_AUDIENCE: &str = "default";
