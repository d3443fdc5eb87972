//! `PATCH /api/v1/users/{id}`

use authority::UserChange;
use axum::{extract::State, response::IntoResponse};
use domain::ids::UserId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{
            errors::ChangeErrors,
            known_secrets::KnownSecretsBody,
            schema::{ChangedUserBody, InstanceRoleBody},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange, example = json!({"enabled": false}))]
pub(crate) struct UserChangeBody {
    /// The name: 1 to 100 characters on one line.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// The role on the whole instance. Only owners can appoint and change owners, and at least one
    /// enabled owner must remain. A higher role signs the user out everywhere.
    #[serde(default)]
    instance_role: Option<InstanceRoleBody>,
    /// Whether the user is enabled. A disabled user is signed out, and their tokens are refused
    /// immediately.
    #[serde(default)]
    enabled: Option<bool>,
    /// Whether to disable secrets that the user may know, if the user gets a lower role or is
    /// disabled. `disable` if absent.
    #[serde(default)]
    #[schema(value_type = Option<KnownSecretsBody>, nullable = false)]
    known_secrets: KnownSecretsBody,
}

/// Change a user
///
/// The response says how many of the user's tokens the change stopped (`stopped_tokens`);
/// `GET /api/v1/workspaces/{ws}/tokens?owner=` with the user's address lists them.
///
/// A higher role signs the person out everywhere. It also invalidates their password
/// (`password_ended`) if the administrator who set it, or who created the link for it, may not set
/// the password of a user with that role, even if the password has been changed since. Tokens that
/// act as a new administrator or owner are disabled (`disabled_tokens`) if a user who does not
/// manage the instance may know their secret.
///
/// A lower role, and disabling the user, disable tokens (`disabled_tokens`) that act as other users
/// if the user may know their secret and could regain access through their scopes `tokens:write`,
/// `tokens:reveal` or `members:write` of `tessera`. Tokens that only call other APIs stay as they
/// are. Passwords of other owners and administrators are invalidated (`ended_passwords`) if the
/// user set them and may no longer do so; your own password never is. `"known_secrets": "keep"`
/// leaves all of them as they are. For signed-in administrators of the instance.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    operation_id = "changeUser",
    tag = "Users",
    params(("id" = Uuid, Path, description = "The user's ID"), IfMatchHeader),
    request_body = UserChangeBody,
    responses(
        (status = 200, description = "The user", body = ChangedUserBody, headers(("ETag" = String, description = "The version, for `If-Match`"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_user(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<UserId>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<UserChangeBody>,
) -> Result<impl IntoResponse, ApiError> {
    let change = UserChange {
        name: body.name,
        instance_role: body.instance_role.map(Into::into),
        enabled: body.enabled,
        known_secrets: body.known_secrets.into(),
    };
    let changed = state.authority.users().change(&context, id, change, expected).await?;
    Ok(Tagged { version: changed.user.version, body: ChangedUserBody::from(changed) })
}
