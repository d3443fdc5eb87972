//! Whether a token may do something: what a caller demands, and the codes of the decision.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::ScopeName,
    names::{AudienceSlug, Slug},
};

/// The maximum number of scopes in one [`Demand`].
pub const DEMANDED_MAX: usize = 64;

/// The stable code of a decision. Only `VALID` lets a call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecisionCode {
    /// The token may do this.
    Valid,
    /// The token does not exist.
    NotFound,
    /// The text is not a token: its form or its checksum is wrong.
    Malformed,
    /// The token is disabled.
    Disabled,
    /// The token, or the secret that was presented, has expired.
    Expired,
    /// The token was deleted.
    Revoked,
    /// The token is not valid yet.
    NotYetValid,
    /// The token is not meant for this audience.
    AudienceMismatch,
    /// The token lacks a demanded scope.
    InsufficientScope,
    /// The token may not be used from this address.
    IpDenied,
    /// The owner that the token acts as is disabled or has left the workspace.
    OwnerDisabled,
    /// The token may do this, but its rate limit is exhausted for now. This limit is checked
    /// last.
    RateLimited,
}

impl DecisionCode {
    /// Every code, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Valid,
        Self::NotFound,
        Self::Malformed,
        Self::Disabled,
        Self::Expired,
        Self::Revoked,
        Self::NotYetValid,
        Self::AudienceMismatch,
        Self::InsufficientScope,
        Self::IpDenied,
        Self::OwnerDisabled,
        Self::RateLimited,
    ];

    /// Returns the code as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::NotFound => "NOT_FOUND",
            Self::Malformed => "MALFORMED",
            Self::Disabled => "DISABLED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::AudienceMismatch => "AUDIENCE_MISMATCH",
            Self::InsufficientScope => "INSUFFICIENT_SCOPE",
            Self::IpDenied => "IP_DENIED",
            Self::OwnerDisabled => "OWNER_DISABLED",
            Self::RateLimited => "RATE_LIMITED",
        }
    }

    /// Returns whether the caller is known and only lacks a right (403), as opposed to
    /// not known (401).
    pub const fn is_forbidden(self) -> bool {
        matches!(self, Self::InsufficientScope | Self::IpDenied)
    }
}

/// The use of a token that a caller wants checked. An absent audience, workspace or address, and an
/// empty list of scopes, are not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The API that is called.
    pub audience: Option<AudienceSlug>,
    /// The only workspace whose tokens are accepted.
    pub workspace: Option<Slug>,
    /// All scopes that the call needs.
    pub scopes: Vec<ScopeName>,
    /// The caller's address.
    pub ip: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_code_in_order() {
        for (place, code) in DecisionCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place, "{code:?}");
        }
        // A new code breaks the build here as a reminder to add it to `ALL`.
        match DecisionCode::Valid {
            DecisionCode::Valid
            | DecisionCode::NotFound
            | DecisionCode::Malformed
            | DecisionCode::Disabled
            | DecisionCode::Expired
            | DecisionCode::Revoked
            | DecisionCode::NotYetValid
            | DecisionCode::AudienceMismatch
            | DecisionCode::InsufficientScope
            | DecisionCode::IpDenied
            | DecisionCode::OwnerDisabled
            | DecisionCode::RateLimited => {}
        }
    }
}
