//! An audience as its administrators see it: with its version, its retired scopes and the tokens
//! that use them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Catalogue, Scope, ScopeName};
use crate::{
    ids::TokenId,
    names::{AudienceSlug, Description, DisplayName, Slug},
};

/// An audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audience {
    /// The audience's names and its scopes, without the retired ones.
    #[serde(flatten)]
    pub catalogue: Catalogue,
    /// Increases with every change of the audience or its scopes.
    pub version: i64,
    /// When the audience was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the audience or one of its scopes was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A scope and its place in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeEntry {
    /// The scope.
    #[serde(flatten)]
    pub scope: Scope,
    /// The scope's group.
    pub group: DisplayName,
    /// The topic of the group.
    pub group_description: Description,
    /// The position within the group, starting at 0.
    pub position: usize,
    /// When the scope was retired, after which it grants nothing; `None` while it is in use.
    #[serde(with = "time::serde::rfc3339::option")]
    pub retired_at: Option<OffsetDateTime>,
}

/// A token that a change of a catalogue affects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// The token's id.
    pub id: TokenId,
    /// The token's name.
    pub name: String,
    /// The token's workspace.
    pub workspace: Slug,
    /// The e-mail address of the owner that the token acts as.
    pub user: String,
}

/// The tokens that hold certain scopes: directly, as a part of a pattern or through another scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeUses {
    /// The number of tokens.
    pub count: i64,
    /// The newest of these tokens, at most 50.
    pub tokens: Vec<TokenUse>,
}

/// The changes that a catalogue file makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogueChanges {
    /// The audience.
    pub audience: AudienceSlug,
    /// Whether this is a dry run, which changes nothing.
    pub dry_run: bool,
    /// The audience's version after the change. After a dry run, the current version; 0 if the
    /// audience does not exist.
    pub version: i64,
    /// Scopes that are new, or in use again.
    pub added: Vec<ScopeName>,
    /// Scopes whose description, risk, group, position or implied scopes change.
    pub changed: Vec<ScopeName>,
    /// Scopes that the file lacks but tokens hold: they are retired and grant nothing from now on.
    pub retired: Vec<ScopeName>,
    /// Scopes that the file lacks and no token holds: they are deleted.
    pub removed: Vec<ScopeName>,
    /// The tokens that lose access.
    pub uses: ScopeUses,
}
