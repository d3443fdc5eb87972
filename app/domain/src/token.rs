//! A token as the API and the console show it, always without its secret.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    catalogue::ScopeName,
    held::HeldScopes,
    ids::{TokenId, UserId},
    names::{AudienceSlug, Description, Slug},
    rate_limit::RateLimit,
    tags::Tags,
};

/// A user as it appears in other records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSummary {
    /// The user's id.
    pub id: UserId,
    /// The user's e-mail address; a service account has one too, as a name.
    pub email: String,
    /// The user's display name.
    pub name: String,
}

/// The current state of a token. It is derived from the record and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Enabled, already valid and not expired.
    Active,
    /// Disabled; it can be enabled again.
    Disabled,
    /// Expired. An expired token has this state whether or not it is enabled.
    Expired,
    /// Not valid yet.
    Scheduled,
}

/// The error for a text that is not a state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a state; states are active, disabled, expired, scheduled")]
pub struct UnknownState(pub String);

impl TokenState {
    /// Every state, in the order in which the console offers them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Expired, Self::Scheduled];

    /// Returns the state that follows from these facts at `now`. The order of precedence is fixed:
    /// expiry, enabled, start.
    pub fn of(
        enabled: bool,
        not_before: Option<OffsetDateTime>,
        expires_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Self {
        if expires_at.is_some_and(|end| end <= now) {
            Self::Expired
        } else if !enabled {
            Self::Disabled
        } else if not_before.is_some_and(|start| start > now) {
            Self::Scheduled
        } else {
            Self::Active
        }
    }

    /// Returns the state's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Scheduled => "scheduled",
        }
    }
}

impl std::str::FromStr for TokenState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// The standing of the caller who disabled or expired a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// An administrator over the token's owner: the owner cannot undo it.
    Administrator,
    /// The owner that the token acts as.
    Owner,
    /// A rule of the policy.
    Policy,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Owner, Self::Policy];

    /// Returns the standing's name in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Owner => "owner",
            Self::Policy => "policy",
        }
    }
}

/// A record of who disabled or expired a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The user; `None` for the command line or the policy.
    pub user: Option<UserSummary>,
    /// The standing of the caller towards the token's owner.
    pub standing: Standing,
}

/// A token's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token's id, which never changes.
    pub id: TokenId,
    /// The token's number on this instance, for clients that need an integer.
    pub num: i64,
    /// The workspace that the token belongs to.
    pub workspace: Slug,
    /// The token's name.
    pub name: String,
    /// The purpose of the token.
    pub description: Description,
    /// The owner that the token acts as.
    pub user: UserSummary,
    /// The user who created the token; `None` if it was created on the command line.
    pub created_by: Option<UserSummary>,
    /// The token that created this one; `None` if a person or the command line did.
    pub parent: Option<TokenId>,
    /// The scopes that the token holds in each API, without the scopes that those imply.
    pub grants: HeldScopes,
    /// The APIs that the token is meant for: the audiences of `grants`.
    pub audiences: Vec<AudienceSlug>,
    /// The names of its scopes in all audiences: a flat view of `grants`.
    pub scopes: Vec<ScopeName>,
    /// Whether the token is enabled.
    pub enabled: bool,
    /// The person or token that disabled the token; `None` if it is enabled or if this was
    /// not recorded.
    pub disabled_by: Option<Stop>,
    /// The person or token that expired the token or set an earlier expiry, if this was recorded.
    pub ended_by: Option<Stop>,
    /// Whether the token can be used now (its state is `active`).
    pub active: bool,
    /// The token's current state.
    pub state: TokenState,
    /// The prefix and the last four characters of its secret.
    pub hint: String,
    /// Whether its secret is stored encrypted and can be shown again. Showing it also requires that
    /// the policy currently allows it.
    pub recoverable: bool,
    /// When the token becomes valid.
    #[serde(with = "crate::moments::option")]
    pub not_before: Option<OffsetDateTime>,
    /// When the token expires; `None` means never.
    #[serde(with = "crate::moments::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The addresses that the token may be used from; empty means any.
    pub ip_allow: Vec<IpNet>,
    /// How often the token may be used; `None` means no limit.
    pub rate_limit: Option<RateLimit>,
    /// The tags that people and programs put on the token.
    pub tags: Tags,
    /// When the secret that a rotation replaced expires, while it still works.
    #[serde(with = "crate::moments::option")]
    pub grace_until: Option<OffsetDateTime>,
    /// The prefix and the last four characters of that secret, while it still works.
    pub older_hint: Option<String>,
    /// When the token's secret was last replaced.
    #[serde(with = "time::serde::rfc3339::option")]
    pub rotated_at: Option<OffsetDateTime>,
    /// When a replaced secret was last presented after its expiry. Only the first such use of each
    /// secret counts. The secret may have leaked.
    #[serde(with = "time::serde::rfc3339::option")]
    pub reused_at: Option<OffsetDateTime>,
    /// When the token was last verified as `VALID`, to within two minutes.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// The caller's address at that time.
    pub last_used_ip: Option<IpAddr>,
    /// The caller's user agent at that time.
    pub last_used_agent: Option<String>,
    /// When the token was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the token's record last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Increases with every change; a change that names another version is refused.
    pub version: i64,
}

impl Token {
    /// Sets the scopes that the token holds, and updates the flat views.
    pub fn set_grants(&mut self, grants: HeldScopes) {
        self.audiences = grants.audiences().cloned().collect();
        self.scopes = grants.scopes().into_iter().cloned().collect();
        self.grants = grants;
    }
}

/// One page of a list: `{"items":[…],"next":cursor or null}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `None` on the last page.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn state_follows_from_expiry_start_and_switch() {
        let now = datetime!(2026-01-02 00:00 UTC);
        let past = Some(datetime!(2026-01-01 00:00 UTC));
        let future = Some(datetime!(2026-01-03 00:00 UTC));
        for (enabled, not_before, expires_at, state) in [
            (true, None, None, TokenState::Active),
            (true, past, future, TokenState::Active),
            (true, future, None, TokenState::Scheduled),
            (true, None, past, TokenState::Expired),
            (true, None, Some(now), TokenState::Expired),
            (true, Some(now), None, TokenState::Active),
            (false, None, None, TokenState::Disabled),
            (false, future, None, TokenState::Disabled),
            (false, None, past, TokenState::Expired),
        ] {
            assert_eq!(TokenState::of(enabled, not_before, expires_at, now), state);
        }
    }
}
