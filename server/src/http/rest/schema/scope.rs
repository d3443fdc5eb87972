//! Scopes as the administrators who manage them see them.

use authority::Retired;
use domain::catalogue::{CatalogueChanges, ScopeEntry, ScopeUses, TokenUse};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{RiskBody, texts};

/// A scope and its place in the catalogue.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeEntry)]
pub(crate) struct ScopeEntryBody {
    /// Its name, or a URI pattern.
    #[schema(example = "rivers:write")]
    name: String,
    /// The access that it gives.
    description: String,
    /// How much harm it can do.
    risk: RiskBody,
    /// Scopes that it implies.
    implies: Vec<String>,
    /// Its group.
    group: String,
    /// What the group is about.
    group_description: String,
    /// Its place in the group; the first is 0.
    position: usize,
    /// When it was retired; null while it is in use.
    #[serde(with = "time::serde::rfc3339::option")]
    retired_at: Option<OffsetDateTime>,
}

/// Scopes of an audience.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeList)]
pub(crate) struct ScopeListBody {
    /// All of them in their order, including retired ones.
    pub(in crate::http::rest) items: Vec<ScopeEntryBody>,
    /// Always null: the list has one page.
    pub(in crate::http::rest) next: Option<String>,
}

/// A token that a change affects.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenUse)]
pub(crate) struct TokenUseBody {
    /// The token's ID.
    id: Uuid,
    /// Its name.
    name: String,
    /// The slug of its workspace.
    workspace: String,
    /// The e-mail address of the user that it acts as.
    user: String,
}

/// The tokens that lose scopes by a change.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeUses)]
pub(crate) struct ScopeUsesBody {
    /// How many.
    count: i64,
    /// The newest of them, 50 at most.
    tokens: Vec<TokenUseBody>,
}

/// The effect of retiring a scope.
#[derive(Serialize, ToSchema)]
#[schema(as = RetiredScope)]
pub(crate) struct RetiredBody {
    /// Whether this was a dry run, which changes nothing.
    dry_run: bool,
    /// The scope as it is now.
    scope: ScopeEntryBody,
    /// The tokens that lose scopes: they hold the scope, a part of its pattern, or a scope that
    /// implies it.
    uses: ScopeUsesBody,
}

/// The changes that a catalogue makes.
#[derive(Serialize, ToSchema)]
#[schema(as = CatalogueChanges)]
pub(crate) struct ChangesBody {
    /// The audience.
    audience: String,
    /// Whether this was a dry run, which changes nothing.
    dry_run: bool,
    /// The audience's current version; 0 if it does not exist.
    version: i64,
    /// Scopes that are new, or back in use.
    added: Vec<String>,
    /// Scopes whose description, group or implied scopes changed.
    changed: Vec<String>,
    /// Scopes that the catalogue lacks but tokens hold: they are retired.
    retired: Vec<String>,
    /// Scopes that the catalogue lacks and no token holds.
    removed: Vec<String>,
    /// The tokens that lose scopes.
    uses: ScopeUsesBody,
}

impl From<ScopeEntry> for ScopeEntryBody {
    fn from(entry: ScopeEntry) -> Self {
        Self {
            name: entry.scope.name.into(),
            description: entry.scope.description.into(),
            risk: entry.scope.risk.into(),
            implies: texts(entry.scope.implies),
            group: entry.group.into(),
            group_description: entry.group_description.into(),
            position: entry.position,
            retired_at: entry.retired_at,
        }
    }
}

impl From<TokenUse> for TokenUseBody {
    fn from(token: TokenUse) -> Self {
        Self {
            id: token.id.0,
            name: token.name,
            workspace: token.workspace.into(),
            user: token.user,
        }
    }
}

impl From<ScopeUses> for ScopeUsesBody {
    fn from(uses: ScopeUses) -> Self {
        Self { count: uses.count, tokens: uses.tokens.into_iter().map(Into::into).collect() }
    }
}

impl RetiredBody {
    pub(in crate::http::rest) fn of(retired: Retired, dry_run: bool) -> Self {
        Self { dry_run, scope: retired.scope.into(), uses: retired.uses.into() }
    }
}

impl From<CatalogueChanges> for ChangesBody {
    fn from(changes: CatalogueChanges) -> Self {
        Self {
            audience: changes.audience.into(),
            dry_run: changes.dry_run,
            version: changes.version,
            added: texts(changes.added),
            changed: texts(changes.changed),
            retired: texts(changes.retired),
            removed: texts(changes.removed),
            uses: changes.uses.into(),
        }
    }
}
