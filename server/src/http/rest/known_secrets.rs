//! `?known_secrets=keep`: what becomes of secrets that a person may know who loses rights.

use authority::KnownSecrets;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// The choice about the secrets that a person may know who loses rights.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(as = KnownSecrets, rename_all = "snake_case")]
pub(crate) enum KnownSecretsBody {
    /// Tokens that act as others are disabled if the person may know their secret, and could come back by their scopes
    /// `tokens:write`, `tokens:reveal` or `members:write` of `tessera`. Passwords of other administrators of the instance
    /// end that the person gave and may not set any more.
    #[default]
    Disable,
    /// They stay as they are. The person who loses the rights cannot choose this, and no token can (422).
    Keep,
}

impl TryFrom<String> for KnownSecretsBody {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.parse()? {
            KnownSecrets::Disable => Self::Disable,
            KnownSecrets::Keep => Self::Keep,
        })
    }
}

impl From<KnownSecretsBody> for KnownSecrets {
    fn from(body: KnownSecretsBody) -> Self {
        match body {
            KnownSecretsBody::Disable => Self::Disable,
            KnownSecretsBody::Keep => Self::Keep,
        }
    }
}

/// The parameter of a removal.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct KnownSecretsQuery {
    /// `keep` leaves secrets alone that the person may know. Otherwise, tokens that they could use to return are disabled.
    /// When a user is removed, passwords that they gave to other owners and administrators end, too.
    #[param(inline, value_type = Option<KnownSecretsBody>)]
    pub(super) known_secrets: KnownSecretsBody,
}
