//! Devo's JSON.

use std::collections::BTreeMap;

use authority::MintedToken;
use domain::token::Token;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use super::moment;

/// A token to create.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "name": "Query token created by API",
    "user": "user@example.com",
    "audience": "apiv2",
    "scopes": "table://my.app.test.tokenapi level://admin"
}))]
pub(super) struct NewToken {
    /// The token's name.
    #[schema(min_length = 1, max_length = 128)]
    pub(super) name: String,
    /// E-mail address of the user that the token acts as: a member of the account.
    pub(super) user: String,
    /// The token's audiences, separated by spaces.
    pub(super) audience: String,
    /// The token's scopes, separated by spaces.
    pub(super) scopes: String,
    /// When the token expires, such as `2024-11-26T14:38:18.000+0000`; if absent, the policy
    /// decides.
    #[serde(default)]
    pub(super) expiration: Option<String>,
}

/// A new name for a token.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "Query token of the night shift"}))]
pub(super) struct NewName {
    /// The new name.
    #[schema(min_length = 1, max_length = 128)]
    pub(super) name: String,
}

/// A token.
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = json!({
    "name": "Query token created by API", "id": 1, "scope": "level://admin table://*.**",
    "owner": "owner@example.com", "user": "user@example.com", "audience": "apiv2 apiv2-admin",
    "token_type": "Bearer", "active": true, "expiration": "2024-11-26T14:38:18.000+0000",
    "account": "child@parent", "created": "2024-11-25T14:38:18.000+0000",
    "updated": "2024-11-25T14:38:18.000+0000", "expires_in_seconds": 86400
}))]
pub(super) struct TokenBody {
    /// The token's name.
    name: String,
    /// The token's number.
    id: i64,
    /// The token's scopes, separated by spaces.
    scope: String,
    /// The token's creator; for a token created on the server's command line, the user that it acts
    /// as.
    owner: String,
    /// The user that the token acts as.
    user: String,
    /// The token's audiences, separated by spaces.
    audience: String,
    /// Always `Bearer`.
    token_type: String,
    /// Whether the token can be used now: expired and disabled tokens are not active.
    active: bool,
    /// When the token expires; null if it never does.
    expiration: Option<String>,
    /// The account.
    account: String,
    /// When the token was created.
    created: String,
    /// When the token was last changed.
    updated: String,
    /// The token's whole lifetime; null if it never expires.
    expires_in_seconds: Option<i64>,
    /// The token's value: only in the response to its creation, and for a single token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenBody {
    /// Returns the token with its value.
    pub(super) fn with_value(minted: MintedToken) -> Self {
        let token = Some(minted.secret.expose().to_owned());
        Self { token, ..minted.token.into() }
    }
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        let lifetime = token.expires_at.map(|end| end - token.created_at);
        let owner = token.created_by.map_or_else(|| token.user.email.clone(), |user| user.email);
        Self {
            name: token.name,
            id: token.num,
            scope: words(&token.scopes),
            owner,
            user: token.user.email,
            audience: words(&token.audiences),
            token_type: "Bearer".to_owned(),
            active: token.active,
            expiration: token.expires_at.map(moment::text),
            account: token.workspace.into(),
            created: moment::text(token.created_at),
            updated: moment::text(token.updated_at),
            // A client that sends an expiry in whole seconds means a lifetime of whole seconds.
            expires_in_seconds: lifetime
                .map(|lifetime| (lifetime + time::Duration::milliseconds(500)).whole_seconds()),
            token: None,
        }
    }
}

fn words<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error, example = json!({"error": {"code": 404, "message": "The token doesn't exist, or you don't have access to it."}}))]
pub(super) struct ErrorBody {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// The HTTP status.
    code: u16,
    /// A description of the error.
    message: String,
}

/// The errors that every operation may return.
pub(super) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            (400, "The request is malformed, or a value is invalid."),
            (401, "The token is missing or not accepted."),
            (403, "The calling token may not do this."),
            (404, "The resource does not exist, or the calling token may not see it."),
            (405, "The method is not supported."),
            (409, "The request conflicts with the current state: the name is taken, or the limit is reached."),
            (413, "The body is larger than 65,536 bytes."),
            (415, "The content type of the body is not JSON."),
            (429, "The caller has reached its limit of calls."),
            (500, "An internal error."),
            (503, "Tessera cannot reach its database."),
        ]
        .into_iter()
        .map(|(status, description)| {
            let content =
                ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", content)
                .build();
            (status.to_string(), response.into())
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_ignored_and_null_expiration_is_absent() {
        let body = json!({
            "name": "a", "user": "u", "audience": "http", "scopes": "level://admin",
            "expiration": null, "else": 1,
        });
        assert!(serde_json::from_value::<NewToken>(body).unwrap().expiration.is_none());
    }
}
