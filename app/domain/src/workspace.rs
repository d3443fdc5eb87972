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
    /// The workspace's id.
    pub id: WorkspaceId,
    /// The workspace's name in URLs.
    pub slug: Slug,
    /// The workspace's display name.
    pub name: DisplayName,
    /// When the workspace was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Increases with every change.
    pub version: i64,
}

/// The use of a token limit: the limit of the workspace or that of the whole instance, whichever
/// leaves less room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The number of tokens that count towards the limit; deleted ones do not.
    pub used: i64,
    /// The maximum number of tokens at a time.
    pub limit: i64,
}

impl Quota {
    /// Returns how many more tokens can be created.
    pub const fn room(self) -> i64 {
        let room = self.limit - self.used;
        if room > 0 { room } else { 0 }
    }
}

/// The number of tokens, by state. Deleted tokens are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// All tokens.
    pub total: i64,
    /// Tokens that can be used now.
    pub active: i64,
    /// Tokens that can be used now and expire within 14 days.
    pub expiring: i64,
    /// Expired tokens.
    pub expired: i64,
    /// Disabled tokens.
    pub disabled: i64,
    /// Tokens that were never verified as valid.
    pub never_used: i64,
}

/// A workspace in a list, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceCard {
    /// The workspace.
    pub workspace: Workspace,
    /// The caller's role in it; `None` for an administrator of the instance who is not a member.
    pub role: Option<WorkspaceRole>,
    /// Which of its tokens the caller can see or manage.
    pub reach: TokenReach,
    /// The counts of those tokens.
    pub counts: TokenCounts,
}

/// A single workspace, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceOverview {
    /// The workspace.
    pub workspace: Workspace,
    /// The policy in force.
    pub policy: Policy,
    /// The caller's role in it; `None` for an administrator of the instance who is not a member.
    pub role: Option<WorkspaceRole>,
    /// Which of its tokens the caller can see or manage.
    pub reach: TokenReach,
    /// The counts of those tokens.
    pub counts: TokenCounts,
    /// The token limit that leaves less room; `None` if there is no limit or the caller may not see
    /// all tokens.
    pub quota: Option<Quota>,
}

/// A member of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub user: UserSummary,
    /// Whether the user is a person or a service account.
    pub kind: UserKind,
    /// Whether the user is enabled; the tokens of a disabled user do not work.
    pub enabled: bool,
    /// The user's role in the workspace.
    pub role: WorkspaceRole,
    /// Patterns of the scopes that the member may put on tokens; `None` means the grants
    /// of the role.
    pub grants: Option<Vec<GrantPattern>>,
    /// The number of tokens of the workspace that act as the member; deleted ones do not count.
    pub tokens: i64,
    /// When the user joined the workspace.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Increases with every change.
    pub version: i64,
}

/// A token that sent an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitingToken {
    /// The token's id.
    pub id: TokenId,
    /// The token's name.
    pub name: String,
    /// The person who created the token. If another token created it, the person who created the
    /// first token of that chain. `None` means the command line.
    pub made_by: Option<UserSummary>,
}

/// An open invitation to a workspace: the invited person has not responded yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The invitation's id. A newer invitation of the same address has a new id.
    pub id: InvitationId,
    /// The workspace.
    pub workspace: Slug,
    /// The workspace's display name.
    pub workspace_name: DisplayName,
    /// The address that is invited.
    pub email: String,
    /// The role that the person gets.
    pub role: WorkspaceRole,
    /// Patterns of the scopes that the person may put on tokens; `None` means the grants
    /// of the role.
    pub grants: Option<Vec<GrantPattern>>,
    /// The person who sent the invitation, or the owner of the token that sent it.
    pub invited_by: UserSummary,
    /// The token that sent the invitation, if a token did.
    pub token: Option<InvitingToken>,
    /// When the invitation was sent.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the invitation expires.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}
