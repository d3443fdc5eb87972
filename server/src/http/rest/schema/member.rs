//! Members of workspaces.

use authority::ChangedMember;
use domain::workspace::Member;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{UserBody, UserKindBody, WorkspaceRoleBody, texts};

/// A user's place in a workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberBody {
    /// The user.
    user: UserBody,
    /// Whether it signs in.
    kind: UserKindBody,
    /// Whether it is enabled on the instance; the tokens of a disabled user are refused.
    enabled: bool,
    /// Its role.
    role: WorkspaceRoleBody,
    /// Patterns of the scopes that it may put on tokens: `*`, `rivers:*` or a scope's name. Null is
    /// what the role gives: all for admin and member, scopes of the risk `read` for viewer, `verify`
    /// for verifier. Its tokens keep of their scopes what this covers.
    #[schema(example = json!(["rivers:*"]))]
    grants: Option<Vec<String>>,
    /// Tokens of the workspace that act as it.
    tokens: i64,
    /// When it joined.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Member> for MemberBody {
    fn from(member: Member) -> Self {
        Self {
            user: member.user.into(),
            kind: member.kind.into(),
            enabled: member.enabled,
            role: member.role.into(),
            grants: member.grants.map(texts),
            tokens: member.tokens,
            created_at: member.created_at,
        }
    }
}

/// A member after a change.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedMember)]
pub(crate) struct ChangedMemberBody {
    #[serde(flatten)]
    member: MemberBody,
    /// How many tokens the change disabled: tokens that act as others and by which a member who may do less could come back,
    /// or tokens that act as a member who may do more and whose secrets others may know.
    disabled_tokens: i64,
}

impl From<ChangedMember> for ChangedMemberBody {
    fn from(changed: ChangedMember) -> Self {
        Self { member: changed.member.into(), disabled_tokens: changed.disabled_tokens }
    }
}

/// Members of a workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberList)]
pub(crate) struct MemberListBody {
    /// All of them, by name.
    pub(in crate::http::rest) items: Vec<MemberBody>,
    /// Always null: the list has one page.
    pub(in crate::http::rest) next: Option<String>,
}

/// What a removal stopped.
#[derive(Serialize, ToSchema)]
#[schema(as = Stopped)]
pub(crate) struct StoppedBody {
    /// How many tokens are refused from now on. They stay until they are deleted, or handed over to
    /// another user.
    pub(in crate::http::rest) stopped_tokens: i64,
    /// How many tokens of others are disabled, because the user may know their secrets and could use them to return.
    pub(in crate::http::rest) disabled_tokens: i64,
}
