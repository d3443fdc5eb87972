//! Users of the instance.

use authority::ChangedUser;
use domain::{token::Page, user::User};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{InstanceRoleBody, PasswordLinkBody, UserKindBody};

/// A person or a service account.
#[derive(Serialize, ToSchema)]
#[schema(as = UserRecord)]
pub(crate) struct UserRecordBody {
    /// Its ID.
    pub(in crate::http::rest) id: Uuid,
    /// Its e-mail address; a service account has one too, as a name.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Its name.
    #[schema(example = "Ada")]
    name: String,
    /// Whether it is a person or a service account.
    kind: UserKindBody,
    /// The role on the whole instance.
    instance_role: InstanceRoleBody,
    /// Whether it is enabled. A disabled user cannot sign in, and its tokens are refused.
    enabled: bool,
    /// The number of tokens that act as it, in all workspaces.
    tokens: i64,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<User> for UserRecordBody {
    fn from(user: User) -> Self {
        Self {
            id: user.summary.id.0,
            email: user.summary.email,
            name: user.summary.name,
            kind: user.kind.into(),
            instance_role: user.instance_role.into(),
            enabled: user.enabled,
            tokens: user.tokens,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A created user.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedUser)]
pub(crate) struct CreatedUserBody {
    #[serde(flatten)]
    pub(in crate::http::rest) user: UserRecordBody,
    /// The link through which a person without a password chooses one; it is shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::rest) password_link: Option<PasswordLinkBody>,
}

/// One page of users.
#[derive(Serialize, ToSchema)]
#[schema(as = UserPage)]
pub(crate) struct UserPageBody {
    /// The rows, sorted by address.
    items: Vec<UserRecordBody>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

impl From<Page<User>> for UserPageBody {
    fn from(page: Page<User>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// A user after a change.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedUser)]
pub(crate) struct ChangedUserBody {
    #[serde(flatten)]
    user: UserRecordBody,
    /// How many tokens the change stopped. They are refused until they are handed over to another
    /// user or this user is enabled again.
    stopped_tokens: i64,
    /// How many tokens the change disabled. With a higher role, these are tokens that act as the
    /// user and whose secrets other users may know. With fewer rights, these are tokens of other
    /// users whose secrets the user may know and could use to regain access. Rotating such a token
    /// makes it safe.
    disabled_tokens: i64,
    /// Whether the password was invalidated, because the administrator who set it may not set the
    /// password of a user with this role. The person needs a link:
    /// `POST /api/v1/users/{id}/password-reset`.
    password_ended: bool,
    /// The addresses of people whose passwords were invalidated, because the user set them and may
    /// no longer do so. Each of them needs a link.
    ended_passwords: Vec<String>,
}

impl From<ChangedUser> for ChangedUserBody {
    fn from(changed: ChangedUser) -> Self {
        Self {
            user: changed.user.into(),
            stopped_tokens: changed.stopped_tokens,
            disabled_tokens: changed.disabled_tokens,
            password_ended: changed.password_ended,
            ended_passwords: changed.ended_passwords,
        }
    }
}

/// The effects of removing a user.
#[derive(Serialize, ToSchema)]
#[schema(as = RemovedUser)]
pub(crate) struct RemovedUserBody {
    /// How many tokens are refused from now on. They remain until they are deleted or handed over
    /// to another user.
    stopped_tokens: i64,
    /// How many tokens of other users were disabled, because the removed user may know their
    /// secrets and could regain access through them.
    disabled_tokens: i64,
    /// The addresses of people whose passwords were invalidated, because the user set them. Each of
    /// them needs a link.
    ended_passwords: Vec<String>,
}

impl From<ChangedUser> for RemovedUserBody {
    fn from(removed: ChangedUser) -> Self {
        Self {
            stopped_tokens: removed.stopped_tokens,
            disabled_tokens: removed.disabled_tokens,
            ended_passwords: removed.ended_passwords,
        }
    }
}
