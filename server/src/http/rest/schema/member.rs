//! Members of workspaces.

use authority::ChangedMember;
use domain::workspace::Member;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{UserBody, UserKindBody, WorkspaceRoleBody, texts};

/// A user's membership in a workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberBody {
    /// The user.
    user: UserBody,
    /// Whether it is a person or a service account.
    kind: UserKindBody,
    /// Whether it is enabled on the instance. The tokens of a disabled user are refused.
    enabled: bool,
    /// Its role.
    role: WorkspaceRoleBody,
    /// Patterns of the scopes that it may put on tokens: `*`, `rivers:*` or a scope's name. Null
    /// means the role's default grants: all scopes for admin and member, scopes of the risk `read`
    /// for viewer, `verify` for verifier. Its tokens keep only the scopes that this covers.
    #[schema(example = json!(["rivers:*"]))]
    grants: Option<Vec<String>>,
    /// The number of tokens of the workspace that act as it.
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
    /// How many tokens the change disabled: tokens that act as other users and through which a
    /// member with fewer rights could regain access, or tokens that act as a member with more
    /// rights and whose secrets other users may know.
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
    /// All of them, sorted by name.
    pub(in crate::http::rest) items: Vec<MemberBody>,
    /// Always null: the list has one page.
    pub(in crate::http::rest) next: Option<String>,
}

/// The effects of a removal.
#[derive(Serialize, ToSchema)]
#[schema(as = Stopped)]
pub(crate) struct StoppedBody {
    /// How many tokens are refused from now on. They remain until they are deleted or handed over
    /// to another user.
    pub(in crate::http::rest) stopped_tokens: i64,
    /// How many tokens of other users were disabled, because the removed user may know their
    /// secrets and could regain access through them.
    pub(in crate::http::rest) disabled_tokens: i64,
}
