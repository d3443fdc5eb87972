//! Workspaces, their counts and their policy.

use domain::workspace::{TokenCounts, WorkspaceCard, WorkspaceOverview};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::PolicyBody;

/// How many tokens a workspace has.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenCounts)]
pub(crate) struct CountsBody {
    /// All of them, deleted ones not counted.
    total: i64,
    /// Usable now.
    active: i64,
    /// Usable now and ending within 14 days.
    expiring: i64,
    /// Past their end.
    expired: i64,
    /// Switched off.
    disabled: i64,
    /// Never verified as valid.
    never_used: i64,
}

impl From<TokenCounts> for CountsBody {
    fn from(counts: TokenCounts) -> Self {
        Self {
            total: counts.total,
            active: counts.active,
            expiring: counts.expiring,
            expired: counts.expired,
            disabled: counts.disabled,
            never_used: counts.never_used,
        }
    }
}

/// A workspace that the caller sees.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceBody {
    /// Its id.
    id: Uuid,
    /// Its name in paths.
    #[schema(example = "workspace-1")]
    slug: String,
    /// Its name for people.
    #[schema(example = "Workspace 1")]
    name: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The caller's role in it; null for administrators of the instance who are no members.
    #[schema(example = "admin")]
    role: Option<&'static str>,
    /// Which of its tokens the caller reaches: `none`, `read` (sees all), `own` (manages their own, sees
    /// no others) or `all` (manages all). A token that asks may be bound further by its scopes.
    #[schema(example = "all")]
    token_reach: &'static str,
    /// How many tokens the caller reaches.
    counts: CountsBody,
}

impl From<WorkspaceCard> for WorkspaceBody {
    fn from(card: WorkspaceCard) -> Self {
        Self {
            id: card.workspace.id.0,
            slug: card.workspace.slug.into(),
            name: card.workspace.name.into(),
            created_at: card.workspace.created_at,
            role: card.role.map(domain::roles::WorkspaceRole::as_str),
            token_reach: card.reach.as_str(),
            counts: card.counts.into(),
        }
    }
}

/// Workspaces that the caller sees.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceList)]
pub(crate) struct WorkspaceListBody {
    /// All of them.
    pub(in crate::http::rest) items: Vec<WorkspaceBody>,
    /// Always null: the list has one page.
    pub(in crate::http::rest) next: Option<String>,
}

/// A workspace with the rules for its tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceWithPolicy)]
pub(crate) struct WorkspaceOverviewBody {
    #[serde(flatten)]
    workspace: WorkspaceBody,
    /// The rules in force.
    policy: PolicyBody,
    /// The nearer limit of tokens, the workspace's or the instance's; null when there is none, or
    /// the caller may not see all tokens.
    quota: Option<QuotaBody>,
}

/// How near a limit of tokens is.
#[derive(Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaBody {
    /// Tokens that count against the limit.
    used: i64,
    /// Most tokens at a time.
    limit: i64,
}

impl From<WorkspaceOverview> for WorkspaceOverviewBody {
    fn from(overview: WorkspaceOverview) -> Self {
        Self {
            workspace: WorkspaceCard {
                workspace: overview.workspace,
                role: overview.role,
                reach: overview.reach,
                counts: overview.counts,
            }
            .into(),
            policy: overview.policy.into(),
            quota: overview.quota.map(|quota| QuotaBody { used: quota.used, limit: quota.limit }),
        }
    }
}
