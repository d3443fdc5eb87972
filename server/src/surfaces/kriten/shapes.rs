//! Kriten's request and response bodies.

use std::collections::BTreeMap;

use authority::MintedToken;
use domain::{expiry::ExpiryChoice, problem::FieldError, token::Token};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::datetime};
use utoipa::{
    IntoResponses, PartialSchema as _, ToSchema,
    openapi::{ContentBuilder, RefOr, Response, ResponseBuilder},
};
use uuid::Uuid;

use crate::problem::ApiError;

/// Go's zero time, which means no expiry.
const NEVER: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);

/// A token to create. All fields are optional.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewApiToken, example = json!({
    "description": "My personal API Token", "enabled": true, "expires": "2027-09-13T13:54:06Z"
}))]
pub(super) struct New {
    /// What the token is for: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    pub(super) description: Option<String>,
    /// Whether the token can be used; `true` if absent.
    #[serde(default)]
    pub(super) enabled: Option<bool>,
    /// When the token expires, RFC 3339. It never expires if this is absent, or zero:
    /// `0001-01-01T00:00:00Z`.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires: Option<String>,
}

/// The changes to a token.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ApiTokenChange, example = json!({"enabled": false}))]
pub(super) struct Change {
    /// What the token is for: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    pub(super) description: Option<String>,
    /// Whether the token can be used.
    #[serde(default)]
    pub(super) enabled: Option<bool>,
    /// When the token expires, RFC 3339; zero, `0001-01-01T00:00:00Z`, means never.
    #[serde(default)]
    #[schema(format = DateTime)]
    expires: Option<String>,
}

impl New {
    /// Returns when the token expires.
    pub(super) fn end(&self) -> Result<ExpiryChoice, ApiError> {
        self.expires.as_deref().map_or(Ok(ExpiryChoice::Never), end)
    }
}

impl Change {
    /// Returns when the token expires from now on, if that changes.
    pub(super) fn end(&self) -> Result<Option<ExpiryChoice>, ApiError> {
        self.expires.as_deref().map(end).transpose()
    }
}

fn end(text: &str) -> Result<ExpiryChoice, ApiError> {
    moment(text).ok_or_else(|| {
        let message = "must be a time such as 2027-08-18T12:00:00Z";
        ApiError::invalid(vec![FieldError::new("expires", message)])
    })
}

/// Parses a moment. Go's zero, and year 0 as the documentation writes it, mean no expiry.
fn moment(text: &str) -> Option<ExpiryChoice> {
    if matches!(text, "0000-01-01" | "0001-01-01") {
        return Some(ExpiryChoice::Never);
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    let is_zero = moment == NEVER || moment.year() < 1;
    Some(if is_zero { ExpiryChoice::Never } else { ExpiryChoice::Exactly(moment) })
}

/// A token without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiToken, example = json!({
    "id": "c38ef92a-522e-41bb-ae5b-ab29a16727d4",
    "owner": "d9acf53d-6d9e-46ec-b352-2e99086ecb97",
    "description": "My personal API Token",
    "created_at": "2026-09-13T13:58:03.430602Z",
    "updated_at": "2026-09-13T13:58:03.430602Z",
    "expires": "2027-09-13T13:54:06Z",
    "enabled": true
}))]
pub(super) struct Shown {
    /// The token's ID.
    id: Uuid,
    /// The ID of the user that the token acts as.
    owner: Uuid,
    /// The purpose of the token.
    description: String,
    /// When the token was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When the token was last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// When the token expires; `0001-01-01T00:00:00Z` if it never does.
    #[serde(with = "time::serde::rfc3339")]
    expires: OffsetDateTime,
    /// Whether the token is enabled.
    enabled: bool,
}

impl From<Token> for Shown {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.0,
            owner: token.user.id.0,
            description: token.description.into(),
            created_at: token.created_at,
            updated_at: token.updated_at,
            expires: token.expires_at.unwrap_or(NEVER),
            enabled: token.enabled,
        }
    }
}

/// A new token with its value.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiToken)]
pub(super) struct Created {
    /// The token's value, which is shown only once.
    #[schema(example = "kri_rbaurEcVyGJIjRioWIaiT3WteVh8ndlVQAEl")]
    key: String,
    #[serde(flatten)]
    token: Shown,
}

impl From<MintedToken> for Created {
    fn from(minted: MintedToken) -> Self {
        Self { key: minted.secret.expose().to_owned(), token: minted.token.into() }
    }
}

/// The confirmation that a token was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedApiToken)]
pub(super) struct Deleted {
    #[schema(example = "apiToken deleted successfully")]
    msg: &'static str,
}

impl Default for Deleted {
    fn default() -> Self {
        Self { msg: "apiToken deleted successfully" }
    }
}

/// An error.
#[derive(ToSchema)]
#[schema(as = Error)]
#[expect(dead_code, reason = "documents the error, which the envelope writes")]
struct ErrorBody {
    /// What went wrong.
    #[schema(example = "please authenticate.")]
    error: String,
}

/// The errors of every operation.
pub(super) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            (400, "The request is malformed, or a value is invalid"),
            (401, "please authenticate. | invalid token | token expired | token not enabled"),
            (403, "unauthorized - user cannot access resource"),
            (404, "The token does not exist, or the caller may not see it"),
            (413, "The body is too large"),
            (429, "Too many calls, or too many attempts to log in"),
            (500, "An internal error"),
            (503, "Tessera cannot reach its database"),
        ]
        .into_iter()
        .map(|(status, description)| {
            let content = ContentBuilder::new().schema(Some(ErrorBody::schema())).build();
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", content)
                .build();
            (u16::to_string(&status), RefOr::T(response))
        })
        .collect()
    }
}

/// Describes a request's invalid values in one text, with Kriten's names.
pub(super) fn wrong_values(errors: &[FieldError]) -> String {
    let texts: Vec<_> = errors
        .iter()
        .map(|error| {
            let field = if error.field == "expires_at" { "expires" } else { &error.field };
            format!("{field} {}", error.message)
        })
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_zero_means_never() {
        for text in [
            "0001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0000-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00+02:00",
            "0000-01-01",
            "0001-01-01",
        ] {
            assert_eq!(moment(text), Some(ExpiryChoice::Never), "{text}");
        }
    }

    #[test]
    fn other_times_are_expiries_even_in_the_past() {
        for (text, end) in [
            ("2024-09-13T13:54:06Z", datetime!(2024-09-13 13:54:06 UTC)),
            ("2024-09-13T15:54:06.283+02:00", datetime!(2024-09-13 13:54:06.283 UTC)),
            ("0001-01-01T00:00:01Z", datetime!(0001-01-01 00:00:01 UTC)),
        ] {
            assert_eq!(moment(text), Some(ExpiryChoice::Exactly(end)), "{text}");
        }
        for text in ["", "never", "2027-08-18", "2027-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00"]
        {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_formatted_as_in_go() {
        let written = |moment: OffsetDateTime| moment.format(&Rfc3339).unwrap();
        assert_eq!(written(NEVER), "0001-01-01T00:00:00Z");
        assert_eq!(written(datetime!(2024-09-13 13:54:06.283 UTC)), "2024-09-13T13:54:06.283Z");
        assert_eq!(
            written(datetime!(2024-09-13 13:58:03.430602 UTC)),
            "2024-09-13T13:58:03.430602Z"
        );
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in "\\PC*|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}(Z|[+-][0-9]{2}:[0-9]{2})") {
            let _ = moment(&text);
        }
    }
}
