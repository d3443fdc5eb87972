//! `POST /api/v1/policy/preset` and `POST /api/v1/workspaces/{ws}/policy/preset`

use authority::{OpContext, PolicyLevel};
use axum::{extract::State, response::IntoResponse};
use domain::names::Slug;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{
            errors::ChangeErrors,
            schema::{PolicyViewBody, PresetText, PreviewBody},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// A preset to preview or apply.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PresetRequest, example = json!({"preset": "kriten", "apply": false}))]
pub(crate) struct PresetBody {
    /// The preset.
    preset: PresetText,
    /// Whether to apply it. The response describes its effect either way.
    #[serde(default)]
    apply: bool,
}

/// The effect of a preset, and the policy in force once it is applied.
#[derive(Serialize, ToSchema)]
#[schema(as = PresetOutcome)]
pub(crate) struct PresetOutcomeBody {
    /// The preset.
    preset: PresetText,
    /// Whether it was applied.
    applied: bool,
    /// Its effect on the policy and the existing tokens.
    preview: PreviewBody,
    /// The policy after the change; null if the preset was not applied.
    policy: Option<PolicyViewBody>,
}

/// Apply a preset to the instance
///
/// Without `"apply": true`, only reports what would change. Applying a preset also creates the
/// audiences that it needs. For signed-in administrators of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/policy/preset",
    operation_id = "applyInstancePreset",
    tag = "Policies",
    params(IfMatchHeader),
    request_body = PresetBody,
    responses(
        (status = 200, description = "The effect of the preset", body = PresetOutcomeBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn apply_instance_preset(
    State(state): State<AppState>,
    Caller(context): Caller,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<PresetBody>,
) -> Result<impl IntoResponse, ApiError> {
    apply(&state, &context, &PolicyLevel::Instance, &body, expected).await
}

/// Apply a preset to a workspace
///
/// Without `"apply": true`, only reports what would change. If the instance sets a rule too, the
/// stricter one is in force. Only administrators of the instance can create the audiences that a
/// preset needs. Needs the scope `policy:write` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces/{ws}/policy/preset",
    operation_id = "applyPreset",
    tag = "Policies",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), IfMatchHeader),
    request_body = PresetBody,
    responses(
        (status = 200, description = "The effect of the preset", body = PresetOutcomeBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn apply_preset(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<PresetBody>,
) -> Result<impl IntoResponse, ApiError> {
    apply(&state, &context, &PolicyLevel::Workspace(workspace), &body, expected).await
}

async fn apply(
    state: &AppState,
    context: &OpContext,
    level: &PolicyLevel,
    body: &PresetBody,
    expected: Option<i64>,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let policies = state.authority.policies();
    let preview = policies.preview_preset(context, level, body.preset.into()).await?;
    let mut version = preview.version;
    let mut policy = None;
    if body.apply {
        // Apply exactly the version that was previewed.
        let expected = expected.or(Some(version));
        let view = policies.apply_preset(context, level, body.preset.into(), expected).await?;
        version = view.version;
        policy = Some(view.into());
    }
    let outcome = PresetOutcomeBody {
        preset: body.preset,
        applied: body.apply,
        preview: preview.into(),
        policy,
    };
    Ok(Tagged { version, body: outcome })
}
