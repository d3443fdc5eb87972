//! `GET /api/v1/policy` and `GET /api/v1/workspaces/{ws}/policy`

use authority::{OpContext, PolicyLevel};
use axum::{extract::State, response::IntoResponse};
use domain::names::Slug;

use crate::{
    http::{
        caller::Caller,
        extract::ApiPath,
        rest::{
            errors::{ReadErrors, SelfErrors},
            schema::PolicyViewBody,
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// Show the instance's policy
///
/// Its rules bind every workspace. For signed-in administrators of the instance.
#[utoipa::path(
    get,
    path = "/api/v1/policy",
    operation_id = "showInstancePolicy",
    tag = "Policies",
    responses(
        (status = 200, description = "The policy", body = PolicyViewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        SelfErrors,
    ),
)]
pub(crate) async fn show_instance_policy(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<impl IntoResponse, ApiError> {
    show(&state, &context, &PolicyLevel::Instance).await
}

/// Show a workspace's policy
///
/// The rules that the workspace sets, those that the instance sets, those in force, and the origin
/// of each rule. Needs the scope `workspaces:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/policy",
    operation_id = "showPolicy",
    tag = "Policies",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    responses(
        (status = 200, description = "The policy", body = PolicyViewBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ReadErrors,
    ),
)]
pub(crate) async fn show_policy(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
) -> Result<impl IntoResponse, ApiError> {
    show(&state, &context, &PolicyLevel::Workspace(workspace)).await
}

async fn show(
    state: &AppState,
    context: &OpContext,
    level: &PolicyLevel,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let view = state.authority.policies().show(context, level).await?;
    Ok(Tagged { version: view.version, body: PolicyViewBody::from(view) })
}
