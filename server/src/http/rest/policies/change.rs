//! `PUT /api/v1/policy` and `PUT /api/v1/workspaces/{ws}/policy`

use authority::{OpContext, PolicyLevel};
use axum::{extract::State, response::IntoResponse};
use domain::names::Slug;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{
            errors::ChangeErrors,
            schema::{PolicyViewBody, RulesBody},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// Change the instance's policy
///
/// The body replaces all rules that the instance sets. Existing tokens stay as they are; the
/// preview lists those that would not comply. For signed-in administrators of the instance.
#[utoipa::path(
    put,
    path = "/api/v1/policy",
    operation_id = "changeInstancePolicy",
    tag = "Policies",
    params(IfMatchHeader),
    request_body = RulesBody,
    responses(
        (status = 200, description = "The policy", body = PolicyViewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_instance_policy(
    State(state): State<AppState>,
    Caller(context): Caller,
    IfMatch(expected): IfMatch,
    ApiJson(rules): ApiJson<RulesBody>,
) -> Result<impl IntoResponse, ApiError> {
    change(&state, &context, &PolicyLevel::Instance, rules, expected).await
}

/// Change a workspace's policy
///
/// The body replaces all rules that the workspace sets. If the instance sets a rule too, the
/// stricter one is in force. Existing tokens stay as they are. Needs the scope `policy:write` of
/// the audience `tessera`.
#[utoipa::path(
    put,
    path = "/api/v1/workspaces/{ws}/policy",
    operation_id = "changePolicy",
    tag = "Policies",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), IfMatchHeader),
    request_body = RulesBody,
    responses(
        (status = 200, description = "The policy", body = PolicyViewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_policy(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    IfMatch(expected): IfMatch,
    ApiJson(rules): ApiJson<RulesBody>,
) -> Result<impl IntoResponse, ApiError> {
    change(&state, &context, &PolicyLevel::Workspace(workspace), rules, expected).await
}

async fn change(
    state: &AppState,
    context: &OpContext,
    level: &PolicyLevel,
    rules: RulesBody,
    expected: Option<i64>,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let view = state.authority.policies().change(context, level, rules.into(), expected).await?;
    Ok(Tagged { version: view.version, body: PolicyViewBody::from(view) })
}
