//! A token as the API and the console show it. Never with its secret.

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

/// A user as other records name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSummary {
    /// Its id.
    pub id: UserId,
    /// Its address; a service account has one too, as a name.
    pub email: String,
    /// Its name for people.
    pub name: String,
}

/// What a token's record says now. Derived, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Enabled, begun and not expired.
    Active,
    /// Switched off; can be switched on again.
    Disabled,
    /// Past its expiry. An expired token is expired, enabled or not.
    Expired,
    /// Not begun yet.
    Scheduled,
}

/// A filter that is no state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a state; states are active, disabled, expired, scheduled")]
pub struct UnknownState(pub String);

impl TokenState {
    /// Every state, in the order in which the console offers them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Expired, Self::Scheduled];

    /// The state that these facts give at `now`. The order is fixed: expiry, switch, beginning.
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

    /// The state's name in the API.
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

/// In which standing somebody stopped a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As an administrator over the token's owner: the owner cannot undo it.
    Administrator,
    /// As the user that the token acts as.
    Owner,
    /// By a rule of policy.
    Policy,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Owner, Self::Policy];

    /// The standing's name in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Owner => "owner",
            Self::Policy => "policy",
        }
    }
}

/// The person or token that stopped a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The user; `None` is the command line, or policy.
    pub user: Option<UserSummary>,
    /// The standing.
    pub standing: Standing,
}

/// A token's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id, for good.
    pub id: TokenId,
    /// Its number on this instance, for clients that need an integer.
    pub num: i64,
    /// The workspace that it belongs to.
    pub workspace: Slug,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Description,
    /// The user that it acts as.
    pub user: UserSummary,
    /// Who made it; `None` when it was made on the command line.
    pub created_by: Option<UserSummary>,
    /// The token that made it; `None` when a person or the command line did.
    pub parent: Option<TokenId>,
    /// The scopes that it holds in each API, without those they imply.
    pub grants: HeldScopes,
    /// The APIs that it is meant for: the audiences of `grants`.
    pub audiences: Vec<AudienceSlug>,
    /// The names of its scopes in all audiences: a flat view of `grants`.
    pub scopes: Vec<ScopeName>,
    /// The switch.
    pub enabled: bool,
    /// Who disabled it, while it is disabled and that was recorded.
    pub disabled_by: Option<Stop>,
    /// Who ended it or set it an earlier end, if that was recorded.
    pub ended_by: Option<Stop>,
    /// Whether it can be used now (state is `active`).
    pub active: bool,
    /// What the record says now.
    pub state: TokenState,
    /// Prefix and last four characters of its secret.
    pub hint: String,
    /// Whether its secret is kept sealed and can be shown again, which policy must allow at present.
    pub recoverable: bool,
    /// Not valid before this moment.
    #[serde(with = "crate::moments::option")]
    pub not_before: Option<OffsetDateTime>,
    /// Not valid from this moment on; `None` is never.
    #[serde(with = "crate::moments::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// Addresses from which it may be used; empty is from anywhere.
    pub ip_allow: Vec<IpNet>,
    /// How often it may be used; at any rate when there is none.
    pub rate_limit: Option<RateLimit>,
    /// What people and programs noted on it.
    pub tags: Tags,
    /// The end of the secret that a rotation replaced, while that one still works.
    #[serde(with = "crate::moments::option")]
    pub grace_until: Option<OffsetDateTime>,
    /// Prefix and last four characters of that secret, while it still works.
    pub older_hint: Option<String>,
    /// When its secret was last replaced.
    #[serde(with = "time::serde::rfc3339::option")]
    pub rotated_at: Option<OffsetDateTime>,
    /// When a replaced secret was last presented for the first time after its end: somebody holds
    /// it who should not.
    #[serde(with = "time::serde::rfc3339::option")]
    pub reused_at: Option<OffsetDateTime>,
    /// When it was last verified with a `VALID` answer, to two minutes.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// The caller's address then.
    pub last_used_ip: Option<IpAddr>,
    /// The caller's program then, as it named itself.
    pub last_used_agent: Option<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its record last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Grows with every change; a change that names another version is refused.
    pub version: i64,
}

impl Token {
    /// Sets what the token holds, the flat views with it.
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
    /// What to send as `cursor` for the next page; `None` on the last one.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn state_follows_its_table() {
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
