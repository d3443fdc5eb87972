//! `POST /api/v1/verify/batch`

use authority::{Pace, QUESTIONS_MAX, ServiceError};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::{
    decision::Demand,
    problem::{ERRORS_MAX, FieldError},
};
use http::header;
use serde::Deserialize;
use utoipa::ToSchema;

use super::verify::Question;
use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, Object},
        rest::{
            errors::AskErrors,
            schema::{AnswersBody, write_answers},
        },
    },
    problem::ApiError,
    state::AppState,
};

/// The cost of parsing one scope, in steps.
const STEPS_OF_A_SCOPE: usize = 30;

/// Requests, each decided as if it were sent on its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [
    {"token": "tsr_…", "audience": "default", "scopes": ["rivers:run"], "ip": "10.1.2.3"},
    {"token": "tsr_…", "audience": "default", "scopes": ["rivers:read"]}
]}))]
pub(crate) struct Questions {
    /// 1 to 100 of them.
    #[schema(value_type = Vec<Question>, min_items = 1, max_items = 100)]
    items: Vec<Object<Question>>,
}

/// Verify many tokens at once
///
/// Up to 100 requests, each decided as by `POST /api/v1/verify`, in the same order. If one of them
/// is invalid, none is decided. If the decisions could exceed 1,048,576 bytes, because the tokens
/// have very many scopes, none is returned and none counts as a use: send fewer requests then.
/// Needs the scope `verify` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/verify/batch",
    operation_id = "verifyMany",
    tag = "Verification",
    request_body = Questions,
    responses((status = 200, description = "The decisions", body = AnswersBody), AskErrors),
)]
pub(crate) async fn verify_many(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiJson(body): ApiJson<Questions>,
) -> Result<Response, ApiError> {
    // Parse so many requests only for callers who may verify.
    state.authority.verification().may_verify(&context).await?;
    let questions = body.read().await?;
    let decisions = state.authority.verification().verify_many(&context, &questions).await?;
    let body = write_answers(&decisions).await.map_err(ServiceError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

impl Questions {
    async fn read(self) -> Result<Vec<(String, Demand)>, ApiError> {
        if !(1..=QUESTIONS_MAX).contains(&self.items.len()) {
            let message = format!("must contain 1 to {QUESTIONS_MAX} requests");
            return Err(ApiError::invalid(vec![FieldError::new("items", message)]));
        }
        let (mut errors, mut pace) = (Vec::new(), Pace::default());
        let mut questions = Vec::with_capacity(self.items.len());
        for (index, Object(question)) in self.items.into_iter().enumerate() {
            let demand = question.demand(&format!("items[{index}]."), &mut errors);
            pace.spend(demand.scopes.len() * STEPS_OF_A_SCOPE).await;
            questions.push((question.token, demand));
            if errors.len() > ERRORS_MAX {
                break;
            }
        }
        if errors.is_empty() { Ok(questions) } else { Err(ApiError::invalid(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn faults(items: &Value) -> Vec<String> {
        let questions: Questions = serde_json::from_value(json!({"items": items})).unwrap();
        let error = questions.read().now_or_never().unwrap().unwrap_err();
        error.problem().errors.iter().map(|error| error.field.clone()).collect()
    }

    #[test]
    fn number_of_reported_errors_is_limited() {
        let question = json!({"token": "x", "scopes": vec![""; 60]});
        let fields = faults(&json!(vec![question; 100]));
        assert_eq!(fields.len(), ERRORS_MAX + 1);
        assert_eq!(fields[ERRORS_MAX], "errors");
        assert_eq!(fields[60], "items[1].scopes[0]");
    }

    #[test]
    fn every_invalid_field_is_reported_with_its_item() {
        let items = json!([
            {"token": "x", "scopes": ["a", "B b"]}, {"token": "y"}, {"token": "z", "audience": "A", "ip": "x"}
        ]);
        assert_eq!(faults(&items), ["items[0].scopes[1]", "items[2].audience", "items[2].ip"]);
        assert_eq!(faults(&json!([])), ["items"]);
        assert_eq!(faults(&json!(vec![json!({"token": "x"}); 101])), ["items"]);
    }
}
