//! Workspaces as the API and the console show them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    access::TokenReach,
    grants::GrantPattern,
    ids::{InvitationId, TokenId, WorkspaceId},
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
    /// Grows with every change.
    pub version: i64,
}

/// How near the workspace is to a limit of tokens: its own or that of the whole instance, whichever
/// leaves less room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Tokens that count against the limit, deleted ones left out.
    pub used: i64,
    /// Most tokens at a time.
    pub limit: i64,
}

impl Quota {
    /// How many more tokens there can be.
    pub const fn room(self) -> i64 {
        let room = self.limit - self.used;
        if room > 0 { room } else { 0 }
    }
}

/// How many tokens there are, by what their records say. Deleted ones are not counted.
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
    /// Which of its tokens the caller reaches.
    pub reach: TokenReach,
    /// The tokens that the caller reaches.
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
    /// Which of its tokens the caller reaches.
    pub reach: TokenReach,
    /// The tokens that the caller reaches.
    pub counts: TokenCounts,
    /// The nearer limit of tokens; `None` when there is none, or the caller may not see all tokens.
    pub quota: Option<Quota>,
}

/// A user's place in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub user: UserSummary,
    /// Whether it signs in.
    pub kind: UserKind,
    /// Whether it is enabled; a disabled user's tokens do not work.
    pub enabled: bool,
    /// Its role.
    pub role: WorkspaceRole,
    /// Patterns of the scopes that it may put on tokens; `None` is what the role gives.
    pub grants: Option<Vec<GrantPattern>>,
    /// Tokens of the workspace that act as it and were not deleted.
    pub tokens: i64,
    /// When it joined.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Grows with every change.
    pub version: i64,
}

/// A token that sent an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitingToken {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// The person who made it, or who made the first of the tokens that made it. `None` is the command line.
    pub made_by: Option<UserSummary>,
}

/// An invitation to a workspace that is open: the person did not answer yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its id. A newer invitation of the same address has a new one.
    pub id: InvitationId,
    /// The workspace.
    pub workspace: Slug,
    /// The workspace's name for people.
    pub workspace_name: DisplayName,
    /// The address that is invited.
    pub email: String,
    /// The role that the person gets.
    pub role: WorkspaceRole,
    /// Patterns of the scopes that the person may put on tokens; `None` is what the role gives.
    pub grants: Option<Vec<GrantPattern>>,
    /// The person who invites, or for whom the token acts that invites.
    pub invited_by: UserSummary,
    /// The token that invites, if it is one.
    pub token: Option<InvitingToken>,
    /// When it was sent.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}
