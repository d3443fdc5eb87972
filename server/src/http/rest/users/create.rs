//! `POST /api/v1/users`

use authority::{NewUser, secret::Password};
use axum::{Json, extract::State};
use domain::roles::{InstanceRole, UserKind};
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::ApiJson,
        rest::{
            errors::WriteErrors,
            schema::{CreatedUserBody, InstanceRoleBody, PasswordLinkBody, UserKindBody},
        },
    },
    problem::ApiError,
    state::AppState,
};

/// A user to create: a person, with or without a password, or a service account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser, example = json!({
    "email": "grace@example.com", "name": "Grace"
}))]
pub(crate) struct NewUserBody {
    /// Whether the user is a person or a service account; a person if absent.
    #[serde(default)]
    kind: Option<UserKindBody>,
    /// The address. A service account has one too, as a name. It is never given to another user.
    #[schema(max_length = 254, example = "grace@example.com")]
    email: String,
    /// The name. If absent, the part of the address before the `@`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// The role on the whole instance; `member` if absent. Only owners can create owners.
    #[serde(default)]
    instance_role: Option<InstanceRoleBody>,
    /// A person's password: at least 15 characters, and not easy to guess. The person must change
    /// it at the first sign-in. Leaving it out is better: the response then contains a link that
    /// lets the person choose one. A service account has no password.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, min_length = 15)]
    password: Option<String>,
}

/// Create a user
///
/// The user belongs to no workspace yet. For a person without a password the response contains
/// `password_link`: hand it to them. For signed-in administrators of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    operation_id = "createUser",
    tag = "Users",
    request_body = NewUserBody,
    responses(
        (status = 201, description = "The user was created", body = CreatedUserBody,
            headers(("Location" = String, description = "The user's path"))),
        WriteErrors,
    ),
)]
pub(crate) async fn create_user(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiJson(body): ApiJson<NewUserBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<CreatedUserBody>), ApiError> {
    let new = NewUser {
        kind: body.kind.map_or(UserKind::Person, Into::into),
        email: body.email,
        name: body.name,
        instance_role: body.instance_role.map_or(InstanceRole::Member, Into::into),
        password: body.password.map(Password::new),
    };
    let users = state.authority.users();
    let (user, link) = if new.kind == UserKind::Person && new.password.is_none() {
        let (user, link) = users.create_with_link(&context, new).await?;
        (user, Some(PasswordLinkBody::of(&link, &state.config)))
    } else {
        (users.create(&context, new).await?, None)
    };
    let body = CreatedUserBody { user: user.into(), password_link: link };
    let location = format!("/api/v1/users/{}", body.user.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)))
}
