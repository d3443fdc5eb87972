//! The filters, the order and the paging of a list of tokens.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::token::TokenState;

/// The default number of rows on a page.
pub const LIMIT_DEFAULT: u16 = 25;
/// The maximum number of rows on a page.
pub const LIMIT_MAX: u16 = 200;

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSort {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// By name, ignoring case.
    Name,
    /// By expiry, the earliest first; tokens that never expire come last.
    Expires,
    /// Tokens that were never used first, then by last use, the oldest first.
    LastUsed,
}

/// The error for a text that is not an order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an order; orders are newest, oldest, name, expires, last_used")]
pub struct UnknownSort(pub String);

impl TokenSort {
    /// Every order.
    pub const ALL: [Self; 5] =
        [Self::Newest, Self::Oldest, Self::Name, Self::Expires, Self::LastUsed];

    /// Returns the order's name in the API.
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

/// A query for tokens of a workspace: the filters, the order and the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenQuery {
    /// Only tokens in this state.
    pub state: Option<TokenState>,
    /// Only tokens whose name, hint or owner contains this text, ignoring case.
    pub q: String,
    /// Only tokens that were created before this time and have not been used since.
    #[serde(default, with = "crate::moments::option")]
    pub unused_since: Option<OffsetDateTime>,
    /// Only tokens that were never used.
    #[serde(default)]
    pub never_used: bool,
    /// Only tokens that expire before this time, including those that have expired already.
    #[serde(default, with = "crate::moments::option")]
    pub expires_before: Option<OffsetDateTime>,
    /// Only tokens of this owner: e-mail address or id.
    #[serde(default)]
    pub owner: Option<String>,
    /// Only tokens that are meant for this audience.
    #[serde(default)]
    pub audience: Option<String>,
    /// Only tokens that hold exactly this scope.
    #[serde(default)]
    pub scope: Option<String>,
    /// The order.
    pub sort: TokenSort,
    /// The number of rows on the page, 1 to [`LIMIT_MAX`].
    pub limit: u16,
    /// Where the page begins: the `next` of the previous page.
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
