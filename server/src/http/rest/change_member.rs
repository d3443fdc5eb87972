//! `PATCH /api/v1/workspaces/{ws}/members/{user}`

use authority::{GrantsChange, MemberChange};
use axum::{extract::State, response::IntoResponse};
use domain::{ids::UserId, names::Slug};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{
    errors::ChangeErrors,
    known_secrets::KnownSecretsBody,
    schema::{ChangedMemberBody, WorkspaceRoleBody},
    tagged::Tagged,
};
use crate::http::{
    AppState,
    caller::Caller,
    extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
    problem::ApiError,
};

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange, example = json!({"role": "viewer"}))]
pub(crate) struct MemberChangeBody {
    /// The role.
    #[serde(default)]
    role: Option<WorkspaceRoleBody>,
    /// Patterns of the scopes that the member may put on tokens. Null leaves them to the role.
    #[serde(default, deserialize_with = "grants")]
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    grants: GrantsChange,
    /// Whether to disable tokens whose secrets the member may know, if they may do less. `disable` if absent.
    #[serde(default)]
    #[schema(value_type = Option<KnownSecretsBody>, nullable = false)]
    known_secrets: KnownSecretsBody,
}

/// Tells a null from what is absent.
fn grants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GrantsChange, D::Error> {
    let patterns = Option::deserialize(deserializer)?;
    Ok(patterns.map_or(GrantsChange::ByRole, GrantsChange::Patterns))
}

/// Change a member
///
/// The member's tokens are bound by it at once: they keep of their scopes what the member may still
/// put on tokens.
///
/// A change that takes something away disables tokens of the workspace that act as others if the member may know their secret,
/// and could come back by their scopes `tokens:write`, `tokens:reveal` or `members:write` of `tessera` but may not grant those any
/// more. Those that only call other APIs stay. A change that gives more disables tokens that act as the member and can do more in
/// Tessera by it, if somebody may know their secret who could not grant as much: a rotation makes them safe. `disabled_tokens`
/// says how many. Needs the scope `members:write` of the audience `tessera`.
#[utoipa::path(
    patch,
    path = "/api/v1/workspaces/{ws}/members/{user}",
    operation_id = "changeMember",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), ("user" = Uuid, Path, description = "The user's id"), IfMatchHeader),
    request_body = MemberChangeBody,
    responses(
        (status = 200, description = "The member", body = ChangedMemberBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_member(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((workspace, user)): ApiPath<(Slug, UserId)>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<MemberChangeBody>,
) -> Result<impl IntoResponse, ApiError> {
    let change = MemberChange {
        role: body.role.map(Into::into),
        grants: body.grants,
        known_secrets: body.known_secrets.into(),
    };
    let workspaces = state.authority.workspaces();
    let changed = workspaces.change_member(&context, &workspace, user, change, expected).await?;
    Ok(Tagged { version: changed.member.version, body: ChangedMemberBody::from(changed) })
}
