//! The users of an instance as its administrators see them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    roles::{InstanceRole, UserKind},
    token::UserSummary,
};

/// A person or a service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's id, e-mail address and name.
    #[serde(flatten)]
    pub summary: UserSummary,
    /// Whether the user is a person or a service account.
    pub kind: UserKind,
    /// The user's role on the whole instance.
    pub instance_role: InstanceRole,
    /// Whether the user is enabled. A disabled user cannot sign in, and the user's tokens
    /// do not work.
    pub enabled: bool,
    /// The number of tokens that act as the user in all workspaces; deleted ones do not count.
    pub tokens: i64,
    /// When the user was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the user was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Increases with every change.
    pub version: i64,
}

/// The default number of rows on a page of users.
pub const USERS_LIMIT_DEFAULT: u16 = 50;
/// The maximum number of rows on a page of users.
pub const USERS_LIMIT_MAX: u16 = 200;

/// A query for users, who are ordered by e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserQuery {
    /// Only users whose name or e-mail address contains this text, ignoring case.
    pub q: String,
    /// Only people, or only service accounts.
    pub kind: Option<UserKind>,
    /// Only enabled users, or only disabled ones.
    pub enabled: Option<bool>,
    /// The number of rows on the page, 1 to [`USERS_LIMIT_MAX`].
    pub limit: u16,
    /// Where the page begins: the `next` of the previous page.
    pub cursor: Option<String>,
}

impl Default for UserQuery {
    fn default() -> Self {
        Self {
            q: String::new(),
            kind: None,
            enabled: None,
            limit: USERS_LIMIT_DEFAULT,
            cursor: None,
        }
    }
}
