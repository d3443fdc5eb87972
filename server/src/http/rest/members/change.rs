//! `PATCH /api/v1/workspaces/{ws}/members/{user}`

use authority::{GrantsChange, MemberChange};
use axum::{extract::State, response::IntoResponse};
use domain::{ids::UserId, names::Slug};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{
            errors::ChangeErrors,
            known_secrets::KnownSecretsBody,
            schema::{ChangedMemberBody, WorkspaceRoleBody},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange, example = json!({"role": "viewer"}))]
pub(crate) struct MemberChangeBody {
    /// The role.
    #[serde(default)]
    role: Option<WorkspaceRoleBody>,
    /// Patterns of the scopes that the member may put on tokens. Null restores the role's
    /// default grants.
    #[serde(default, deserialize_with = "grants")]
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    grants: GrantsChange,
    /// Whether to disable tokens whose secrets the member may know, if the change takes rights
    /// away. `disable` if absent.
    #[serde(default)]
    #[schema(value_type = Option<KnownSecretsBody>, nullable = false)]
    known_secrets: KnownSecretsBody,
}

/// Distinguishes null from an absent field.
fn grants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GrantsChange, D::Error> {
    let patterns = Option::deserialize(deserializer)?;
    Ok(patterns.map_or(GrantsChange::ByRole, GrantsChange::Patterns))
}

/// Change a member
///
/// The change applies to the member's tokens immediately: they keep only the scopes that the member
/// may still put on tokens.
///
/// A change that takes rights away disables tokens of the workspace that act as other users if the
/// member may know their secret and could regain access through their scopes `tokens:write`,
/// `tokens:reveal` or `members:write` of `tessera`, which the member may no longer grant. Tokens
/// that only call other APIs stay as they are.
///
/// A change that gives rights disables tokens that act as the member and can do more in Tessera
/// because of it, if a user who could not grant as much may know their secret. Rotating such a
/// token makes it safe. `disabled_tokens` is the number of disabled tokens. Needs the scope
/// `members:write` of the audience `tessera`.
#[utoipa::path(
    patch,
    path = "/api/v1/workspaces/{ws}/members/{user}",
    operation_id = "changeMember",
    tag = "Members",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"), ("user" = Uuid, Path, description = "The user's ID"), IfMatchHeader),
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
