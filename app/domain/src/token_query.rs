//! What a list of tokens is asked for.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::token::TokenState;

/// Rows of a page when nothing else is asked for.
pub const LIMIT_DEFAULT: u16 = 25;
/// Most rows of a page.
pub const LIMIT_MAX: u16 = 200;

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSort {
    /// The youngest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// By name, without regard to case.
    Name,
    /// The next to expire first; those that never expire last.
    Expires,
    /// The longest unused first, before them those that were never used.
    LastUsed,
}

/// Not an order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an order; orders are newest, oldest, name, expires, last_used")]
pub struct UnknownSort(pub String);

impl TokenSort {
    /// Every order.
    pub const ALL: [Self; 5] =
        [Self::Newest, Self::Oldest, Self::Name, Self::Expires, Self::LastUsed];

    /// The order's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Name => "name",
            Self::Expires => "expires",
            Self::LastUsed => "last_used",
        }
    }
}

impl std::str::FromStr for TokenSort {
    type Err = UnknownSort;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|sort| sort.as_str() == text)
            .ok_or_else(|| UnknownSort(text.to_owned()))
    }
}

/// Which tokens of a workspace, in which order, how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenQuery {
    /// Only those in this state.
    pub state: Option<TokenState>,
    /// Only those whose name, hint or user contains this, without regard to case.
    pub q: String,
    /// Only those that were made before this moment and not used since.
    #[serde(default, with = "crate::moments::option")]
    pub unused_since: Option<OffsetDateTime>,
    /// Only those that were never used.
    #[serde(default)]
    pub never_used: bool,
    /// Only those that end before this moment; those that have ended are among them.
    #[serde(default, with = "crate::moments::option")]
    pub expires_before: Option<OffsetDateTime>,
    /// Only those of this user: e-mail address or id.
    #[serde(default)]
    pub owner: Option<String>,
    /// Only those that are meant for this audience.
    #[serde(default)]
    pub audience: Option<String>,
    /// Only those that were granted this scope, as it is written on them.
    #[serde(default)]
    pub scope: Option<String>,
    /// The order.
    pub sort: TokenSort,
    /// Rows of a page, 1 to [`LIMIT_MAX`].
    pub limit: u16,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

impl Default for TokenQuery {
    fn default() -> Self {
        Self {
            state: None,
            q: String::new(),
            unused_since: None,
            never_used: false,
            expires_before: None,
            owner: None,
            audience: None,
            scope: None,
            sort: TokenSort::default(),
            limit: LIMIT_DEFAULT,
            cursor: None,
        }
    }
}
