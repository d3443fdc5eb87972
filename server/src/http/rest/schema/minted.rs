//! A token with its secret.

use authority::MintedToken;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::token::{TokenBody, token_example};

/// A token with its secret: a new one, or one that is shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedToken, example = minted_example)]
pub(crate) struct MintedBody {
    /// Its record.
    token: TokenBody,
    /// The secret that callers present. Store it now: unless the token is recoverable, Tessera
    /// keeps only a digest of it.
    secret: String,
    /// `true` if a rotation is to disable the tokens that this one created and some are not
    /// disabled yet. Tessera continues to disable them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>, nullable = false)]
    children_pending: bool,
}

impl From<MintedToken> for MintedBody {
    fn from(minted: MintedToken) -> Self {
        Self {
            token: minted.token.into(),
            secret: minted.secret.expose().to_owned(),
            children_pending: minted.children_pending,
        }
    }
}

fn minted_example() -> Value {
    json!({"token": token_example(), "secret": "tsr_… (shown once)"})
}
