//! `PATCH /api/v1/tokens/{id}`

use std::collections::BTreeMap;

use authority::{Edit, TokenPatch};
use axum::extract::State;
use domain::{
    expiry::{self, ExpiryError},
    ids::TokenId,
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader, Object},
        rest::{
            errors::ChangeErrors,
            schema::{RateLimitBody, ScopeText, TokenBody, grants_schema, tags_schema},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenPatch, example = json!({"name": "deploy-bot", "scopes": ["rivers:read"]}))]
pub(crate) struct PatchBody {
    /// Its name: 1 to 128 characters on one line.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 128)]
    name: Option<String>,
    /// What it is for: up to 1,000 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, max_length = 1_000)]
    description: Option<String>,
    /// E-mail address or ID of the user that it acts as from now on: any user that could have been
    /// named when the token was created.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    user: Option<String>,
    /// Its scopes from now on, by API. Each API may keep scopes that it has now, or scopes that
    /// these imply. To widen a token, create another one.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = grants_schema)]
    grants: Option<BTreeMap<String, Vec<String>>>,
    /// In place of `grants`: the names of the scopes that it keeps, in every API for which it
    /// holds them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<ScopeText>>, nullable = false, min_items = 1)]
    scopes: Option<Vec<String>>,
    /// When it expires: an RFC 3339 timestamp, a date (the end of that day, UTC), or `never`.
    /// Policy counts from the creation of the current secret.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    expires_at: Option<String>,
    /// Not valid before this time (RFC 3339); null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Nullable<String>>,
    /// Addresses and networks (CIDR) from which it may be used. Empty means from anywhere.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, max_items = 32)]
    ip_allow: Option<Vec<String>>,
    /// How often it may be used; null removes the limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<RateLimitBody>)]
    rate_limit: Option<Nullable<Object<RateLimitBody>>>,
    /// All of its tags: up to 32 pairs, keys of 1 to 64 characters, values of up to 256.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = tags_schema)]
    tags: Option<BTreeMap<String, String>>,
}

/// A value, or null to remove the present one.
#[derive(Deserialize)]
#[serde(transparent)]
struct Nullable<T>(Option<T>);

impl<T> Nullable<T> {
    fn edit(given: Option<Self>) -> Edit<T> {
        match given {
            None => Edit::Keep,
            Some(Self(None)) => Edit::Remove,
            Some(Self(Some(value))) => Edit::Set(value),
        }
    }
}

/// Change a token
///
/// Changes only the fields that the body names. A token's scopes can only shrink, and its expiry
/// cannot be moved beyond policy. Needs the scope `tokens:write` of the audience `tessera`.
#[utoipa::path(
    patch,
    path = "/api/v1/tokens/{id}",
    operation_id = "updateToken",
    tag = "Tokens",
    params(
        ("id" = Uuid, Path, description = "The token's ID"),
        IfMatchHeader,
    ),
    request_body = PatchBody,
    responses(
        (status = 200, description = "The token after the change", body = TokenBody,
            headers(("ETag" = String, description = "Its version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn update_token(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<PatchBody>,
) -> Result<Tagged<TokenBody>, ApiError> {
    let token = state.authority.tokens().update(&context, id, expected, body.into()).await?;
    Ok(token.into())
}

impl From<PatchBody> for TokenPatch {
    fn from(body: PatchBody) -> Self {
        Self {
            name: body.name,
            description: body.description,
            user: body.user,
            scopes: body.scopes,
            grants: body.grants,
            // An empty text is an error here, because policy's default does not apply to changes.
            expiry: body.expires_at.map(|text| match text.trim() {
                "" => Err(ExpiryError::Form),
                text => expiry::parse(text),
            }),
            not_before: Nullable::edit(body.not_before),
            ip_allow: body.ip_allow,
            rate_limit: match Nullable::edit(body.rate_limit) {
                Edit::Keep => Edit::Keep,
                Edit::Remove => Edit::Remove,
                Edit::Set(Object(rate)) => Edit::Set(rate.parse()),
            },
            tags: body.tags,
            enabled: None,
        }
    }
}

/// Reads a field that is present. Null is passed to the field's type, which refuses it unless it
/// has a meaning: the caller may have meant to remove something.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

#[cfg(test)]
mod tests {
    use domain::rate_limit::RateLimit;
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_fields_differ() {
        let read = |json| serde_json::from_value::<PatchBody>(json).map(TokenPatch::from);
        let nothing = read(json!({})).unwrap();
        assert!(
            nothing.name.is_none() && nothing.expiry.is_none() && nothing.not_before == Edit::Keep
        );
        assert_eq!(nothing.rate_limit, Edit::Keep);
        assert_eq!(read(json!({"not_before": null})).unwrap().not_before, Edit::Remove);
        assert_eq!(read(json!({"rate_limit": null})).unwrap().rate_limit, Edit::Remove);
        let rate = json!({"rate_limit": {"limit": 600, "window_s": 60}});
        assert_eq!(read(rate).unwrap().rate_limit, Edit::Set(RateLimit::new(600, 60)));
        for field in ["name", "description", "user", "scopes", "expires_at", "ip_allow", "tags"] {
            assert!(read(json!({field: null})).is_err(), "{field}");
        }
        assert!(matches!(read(json!({"expires_at": ""})).unwrap().expiry, Some(Err(_))));
    }
}
