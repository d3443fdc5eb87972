//! `POST /api/v1/policy/preview` and `POST /api/v1/workspaces/{ws}/policy/preview`

use authority::{OpContext, PolicyLevel};
use axum::{extract::State, response::IntoResponse};
use domain::names::Slug;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath},
        rest::{
            errors::{AskErrors, ChangeErrors},
            schema::{PreviewBody, RulesBody},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// Preview a change of the instance's policy
///
/// Reports which rules would change, and which tokens of all workspaces would not comply.
/// Changes nothing. The `ETag` names the version that was compared. For signed-in administrators
/// of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/policy/preview",
    operation_id = "previewInstancePolicy",
    tag = "Policies",
    request_body = RulesBody,
    responses(
        (status = 200, description = "The effect that the change would have", body = PreviewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        AskErrors,
    ),
)]
pub(crate) async fn preview_instance_policy(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiJson(rules): ApiJson<RulesBody>,
) -> Result<impl IntoResponse, ApiError> {
    preview(&state, &context, &PolicyLevel::Instance, rules).await
}

/// Preview a change of a workspace's policy
///
/// Reports which rules would change, and which tokens would not comply: counts, and the first 50 by
/// name for callers who may see tokens. Changes nothing. Needs the scope `policy:write` of the
/// audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces/{ws}/policy/preview",
    operation_id = "previewPolicy",
    tag = "Policies",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    request_body = RulesBody,
    responses(
        (status = 200, description = "The effect that the change would have", body = PreviewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn preview_policy(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    ApiJson(rules): ApiJson<RulesBody>,
) -> Result<impl IntoResponse, ApiError> {
    preview(&state, &context, &PolicyLevel::Workspace(workspace), rules).await
}

async fn preview(
    state: &AppState,
    context: &OpContext,
    level: &PolicyLevel,
    rules: RulesBody,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let preview = state.authority.policies().preview(context, level, &rules.into()).await?;
    Ok(Tagged { version: preview.version, body: PreviewBody::from(preview) })
}
