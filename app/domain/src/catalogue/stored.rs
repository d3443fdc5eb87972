//! An audience as those see it who manage it: with its version, its retired scopes and who uses them.

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
    /// Its names and its scopes; retired ones are not among them.
    #[serde(flatten)]
    pub catalogue: Catalogue,
    /// A number that grows with every change of the audience or its scopes.
    pub version: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it or one of its scopes was changed last.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A scope in the place that it has in its catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeEntry {
    /// The scope.
    #[serde(flatten)]
    pub scope: Scope,
    /// Its group.
    pub group: DisplayName,
    /// What the group is about.
    pub group_description: Description,
    /// Its place within the group; the first is 0.
    pub position: usize,
    /// Since when it is granted to nobody; `None` while it is in use.
    #[serde(with = "time::serde::rfc3339::option")]
    pub retired_at: Option<OffsetDateTime>,
}

/// A token that a change of a catalogue concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// The token.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// Its workspace.
    pub workspace: Slug,
    /// The e-mail address of the user that it acts as.
    pub user: String,
}

/// Which tokens hold some scopes, by themselves, as a part of a pattern or through another scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeUses {
    /// How many.
    pub count: i64,
    /// The newest of them, 50 at most.
    pub tokens: Vec<TokenUse>,
}

/// What a catalogue file changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogueChanges {
    /// The audience.
    pub audience: AudienceSlug,
    /// Whether it was only looked at: nothing was changed.
    pub dry_run: bool,
    /// The audience's version afterwards; after a dry run, the present one (0 when there is none).
    pub version: i64,
    /// Scopes that are new, or in use again.
    pub added: Vec<ScopeName>,
    /// Scopes that are described, grouped, placed or implied otherwise than before.
    pub changed: Vec<ScopeName>,
    /// Scopes that the file lacks and tokens hold: granted to nobody from now on.
    pub retired: Vec<ScopeName>,
    /// Scopes that the file lacks and no token holds: gone.
    pub removed: Vec<ScopeName>,
    /// The tokens that lose something.
    pub uses: ScopeUses,
}
