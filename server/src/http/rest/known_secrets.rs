//! `?known_secrets=keep`: how to treat secrets that a person who loses rights may know.

use authority::KnownSecrets;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// How to treat secrets that a person who loses rights may know.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(as = KnownSecrets, rename_all = "snake_case")]
pub(crate) enum KnownSecretsBody {
    /// Disable tokens that act as other users if the person may know their secret and could regain
    /// access through their scopes `tokens:write`, `tokens:reveal` or `members:write` of `tessera`.
    /// Invalidate passwords of other administrators of the instance that the person set and may no
    /// longer set.
    #[default]
    Disable,
    /// Leave them as they are. The person who loses the rights cannot choose this, and neither can
    /// a token (422).
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

/// The query parameter of a removal.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct KnownSecretsQuery {
    /// `keep` leaves secrets that the person may know as they are. Otherwise, tokens through which
    /// they could regain access are disabled. Removing a user also invalidates passwords that they
    /// set for other owners and administrators.
    #[param(inline, value_type = Option<KnownSecretsBody>)]
    pub(super) known_secrets: KnownSecretsBody,
}
