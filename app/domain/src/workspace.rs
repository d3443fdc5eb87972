//! Workspaces as the API and the console show them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    ids::WorkspaceId,
    names::{DisplayName, Slug},
    policy::Policy,
    roles::{UserKind, WorkspaceRole},
    token::UserSummary,
};

/// A workspace: a tenant with members, a policy and tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name in URLs.
    pub slug: Slug,
    /// Its name for people.
    pub name: DisplayName,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// How many tokens a workspace has, by what their records say. Deleted ones are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// All of them.
    pub total: i64,
    /// Usable now.
    pub active: i64,
    /// Usable now and ending within 14 days.
    pub expiring: i64,
    /// Past their end.
    pub expired: i64,
    /// Switched off.
    pub disabled: i64,
    /// Never verified as valid.
    pub never_used: i64,
}

/// A workspace in a list, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceCard {
    /// The workspace.
    pub workspace: Workspace,
    /// The caller's role in it; `None` for an administrator of the instance who is no member.
    pub role: Option<WorkspaceRole>,
    /// Whether the caller sees and manages its tokens.
    pub may_manage_tokens: bool,
    /// Its tokens; all zero when the caller may not see them.
    pub counts: TokenCounts,
}

/// A workspace by itself, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceOverview {
    /// The workspace.
    pub workspace: Workspace,
    /// The policy in force.
    pub policy: Policy,
    /// The caller's role in it; `None` for an administrator of the instance who is no member.
    pub role: Option<WorkspaceRole>,
    /// Whether the caller sees and manages its tokens.
    pub may_manage_tokens: bool,
    /// Its tokens; all zero when the caller may not see them.
    pub counts: TokenCounts,
}

/// A user's place in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub user: UserSummary,
    /// Whether it signs in.
    pub kind: UserKind,
    /// Its role.
    pub role: WorkspaceRole,
}
