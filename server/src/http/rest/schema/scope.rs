//! Scopes as those see them who manage them.

use authority::Retired;
use domain::catalogue::{CatalogueChanges, ScopeEntry, ScopeUses, TokenUse};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{RiskBody, texts};

/// A scope in its place.
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
    /// Scopes that come with it.
    implies: Vec<String>,
    /// Its group.
    group: String,
    /// What the group is about.
    group_description: String,
    /// Its place in the group; the first is 0.
    position: usize,
    /// Since when it is granted to nobody; null while it is in use.
    #[serde(with = "time::serde::rfc3339::option")]
    retired_at: Option<OffsetDateTime>,
}

/// Scopes of an audience.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeList)]
pub(crate) struct ScopeListBody {
    /// All of them in their order, retired ones too.
    pub(in crate::http::rest) items: Vec<ScopeEntryBody>,
    /// Always null: the list has one page.
    pub(in crate::http::rest) next: Option<String>,
}

/// A token that a change concerns.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenUse)]
pub(crate) struct TokenUseBody {
    /// The token's id.
    id: Uuid,
    /// Its name.
    name: String,
    /// The slug of its workspace.
    workspace: String,
    /// The e-mail address of the user that it acts as.
    user: String,
}

/// The tokens that have less after a change.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeUses)]
pub(crate) struct ScopeUsesBody {
    /// How many.
    count: i64,
    /// The newest of them, 50 at most.
    tokens: Vec<TokenUseBody>,
}

/// What retiring a scope did, or would do.
#[derive(Serialize, ToSchema)]
#[schema(as = RetiredScope)]
pub(crate) struct RetiredBody {
    /// Whether nothing was changed.
    dry_run: bool,
    /// The scope as it is now.
    scope: ScopeEntryBody,
    /// The tokens that have less: they hold the scope, a part of its pattern, or a scope that implies
    /// it.
    uses: ScopeUsesBody,
}

/// What a catalogue changed, or would change.
#[derive(Serialize, ToSchema)]
#[schema(as = CatalogueChanges)]
pub(crate) struct ChangesBody {
    /// The audience.
    audience: String,
    /// Whether nothing was changed.
    dry_run: bool,
    /// The audience's version now; 0 when there is none.
    version: i64,
    /// Scopes that are new, or in use again.
    added: Vec<String>,
    /// Scopes that are described, grouped or implied otherwise.
    changed: Vec<String>,
    /// Scopes that the catalogue lacks and tokens hold: granted to nobody any more.
    retired: Vec<String>,
    /// Scopes that the catalogue lacks and no token holds.
    removed: Vec<String>,
    /// The tokens that have less.
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
