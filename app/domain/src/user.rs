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
    /// Id, address and name.
    #[serde(flatten)]
    pub summary: UserSummary,
    /// Whether it signs in.
    pub kind: UserKind,
    /// What it is on the whole instance.
    pub instance_role: InstanceRole,
    /// The switch: a disabled user neither signs in nor do its tokens work.
    pub enabled: bool,
    /// Tokens that act as it and were not deleted, in all workspaces.
    pub tokens: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Grows with every change.
    pub version: i64,
}

/// Rows of a page of users when nothing else is asked for.
pub const USERS_LIMIT_DEFAULT: u16 = 50;
/// Most rows of a page of users.
pub const USERS_LIMIT_MAX: u16 = 200;

/// Which users, how many. They come by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserQuery {
    /// Only those whose name or address contains this, without regard to case.
    pub q: String,
    /// Only people, or only service accounts.
    pub kind: Option<UserKind>,
    /// Only those that are enabled, or only those that are not.
    pub enabled: Option<bool>,
    /// Rows of a page, 1 to [`USERS_LIMIT_MAX`].
    pub limit: u16,
    /// Where the page begins: `next` of the page before.
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
