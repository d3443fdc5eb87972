//! What a request concerns.

use domain::{ids::TokenId, names::Slug};

/// The workspace that a request concerns, as far as the surface knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// The request names no workspace.
    #[default]
    Unknown,
    /// The workspace with this name.
    Workspace(Slug),
    /// The workspace of this token.
    Token(TokenId),
}
