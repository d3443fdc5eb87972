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
    /// All tokens except deleted ones.
    total: i64,
    /// Valid now.
    active: i64,
    /// Valid now and expiring within 14 days.
    expiring: i64,
    /// Expired.
    expired: i64,
    /// Disabled.
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

/// A workspace that the caller can see.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceBody {
    /// Its ID.
    id: Uuid,
    /// Its name in paths.
    #[schema(example = "workspace-1")]
    slug: String,
    /// Its display name.
    #[schema(example = "Workspace 1")]
    name: String,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The caller's role in it; null for administrators of the instance who are not members.
    #[schema(example = "admin")]
    role: Option<&'static str>,
    /// Which of its tokens the caller can reach: `none`, `read` (sees all), `own` (manages their
    /// own, sees no others) or `all` (manages all). A calling token may be restricted further by
    /// its scopes.
    #[schema(example = "all")]
    token_reach: &'static str,
    /// The number of tokens that the caller can reach.
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

/// Workspaces that the caller can see.
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
    /// The closer token limit, the workspace's or the instance's; null if there is none, or if the
    /// caller may not see all tokens.
    quota: Option<QuotaBody>,
}

/// Usage of a token limit.
#[derive(Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaBody {
    /// Tokens that count against the limit.
    used: i64,
    /// Maximum number of tokens at a time.
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
