//! `POST /api/v1/verify`

use std::{fmt::Display, net::IpAddr, str::FromStr};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::{
    decision::{DEMANDED_MAX, Demand},
    problem::FieldError,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::ApiJson,
        rest::{
            errors::AskErrors,
            schema::{ScopeText, VerificationBody},
        },
    },
    problem::ApiError,
    state::AppState,
};

pub(crate) const PATH: &str = "/api/v1/verify";

/// A token, and what its bearer wants to do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "token": "tsr_…", "audience": "default", "scopes": ["rivers:run"], "ip": "10.1.2.3"
}))]
pub(crate) struct Question<T = String> {
    /// The token as it was presented.
    #[schema(value_type = String)]
    pub(crate) token: T,
    /// The API that is called. Not checked when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9][a-z0-9._-]*$", max_length = 63)]
    pub(crate) audience: Option<T>,
    /// Every scope that the call needs, at most 64. Not checked when absent or empty.
    #[serde(default)]
    #[schema(value_type = Vec<ScopeText>, max_items = 64)]
    pub(crate) scopes: Vec<T>,
    /// The address of the client that presented the token. If absent, a token that is bound to
    /// addresses is refused.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9a-fA-F.:]+$", example = "10.1.2.3")]
    pub(crate) ip: Option<T>,
    /// The only workspace whose tokens are accepted. Not checked when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[a-z0-9][a-z0-9._-]*(@[a-z0-9][a-z0-9._-]*)?$", max_length = 127)]
    pub(crate) workspace: Option<T>,
}

/// Check whether a token may do something
///
/// Returns 200 whatever the decision, which is in `valid` and `code`. Name the audience and the
/// scopes in every request: whatever is not named is not checked, so a token created for another
/// API would pass. Needs the scope `verify` of the audience `tessera`. Tokens of workspaces that
/// the caller may not verify are `NOT_FOUND`.
#[utoipa::path(
    post,
    path = "/api/v1/verify",
    operation_id = "verify",
    tag = "Verification",
    request_body = Question,
    responses((status = 200, description = "The decision", body = VerificationBody<'static>), AskErrors),
)]
pub(crate) async fn verify(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiJson(question): ApiJson<Question>,
) -> Result<Response, ApiError> {
    let mut errors = Vec::new();
    let demand = question.demand("", &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let verification = state.authority.verification();
    let decision = verification.verify(&context, &question.token, &demand).await?;
    Ok(Json(VerificationBody::of(&decision)).into_response())
}

impl Question {
    /// Returns the demand. Unusable fields are reported in `errors`, with `place` before their
    /// names, and are left out of the demand; the request then gets no decision.
    pub(super) fn demand(&self, place: &str, errors: &mut Vec<FieldError>) -> Demand {
        let field = |name: &str| format!("{place}{name}");
        if self.scopes.len() > DEMANDED_MAX {
            let count = self.scopes.len();
            let message = format!("must have at most {DEMANDED_MAX} scopes, not {count}");
            errors.push(FieldError::new(field("scopes"), message));
            return Demand::default();
        }
        Demand {
            audience: parse(errors, &field("audience"), self.audience.as_deref()),
            workspace: parse(errors, &field("workspace"), self.workspace.as_deref()),
            scopes: self
                .scopes
                .iter()
                .enumerate()
                .filter_map(|(index, scope)| {
                    parse(errors, &field(&format!("scopes[{index}]")), Some(scope))
                })
                .collect(),
            ip: self.ip.as_deref().and_then(|text| {
                let address = text.parse::<IpAddr>().ok();
                if address.is_none() {
                    let message = "must be an IP address such as 192.0.2.1";
                    errors.push(FieldError::new(field("ip"), message));
                }
                address
            }),
        }
    }
}

fn parse<T: FromStr<Err: Display>>(
    errors: &mut Vec<FieldError>,
    field: &str,
    text: Option<&str>,
) -> Option<T> {
    match text?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            errors.push(FieldError::new(field, error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(json: serde_json::Value) -> Question {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_invalid_field_is_reported() {
        let question = question(serde_json::json!({
            "token": "x", "audience": "A", "scopes": ["a", "B b"], "ip": "nowhere", "workspace": ""
        }));
        let mut errors = Vec::new();
        question.demand("", &mut errors);
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["audience", "workspace", "scopes[1]", "ip"]);
    }

    #[test]
    fn number_of_scopes_is_limited() {
        let asking = |count: usize| {
            let mut errors = Vec::new();
            let question = question(serde_json::json!({"token": "x", "scopes": vec!["a"; count]}));
            let demand = question.demand("items[7].", &mut errors);
            (demand.scopes.len(), errors)
        };
        assert_eq!(asking(DEMANDED_MAX), (DEMANDED_MAX, vec![]));
        let error = FieldError::new("items[7].scopes", "must have at most 64 scopes, not 65");
        assert_eq!(asking(DEMANDED_MAX + 1), (0, vec![error]));
    }

    #[test]
    fn absent_fields_demand_nothing() {
        let mut errors = Vec::new();
        let demand = question(serde_json::json!({"token": "x"})).demand("", &mut errors);
        assert_eq!((demand, errors), (Demand::default(), vec![]));
    }
}
