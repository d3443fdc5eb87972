//! `POST /api/v1/account/password`

use authority::{PasswordChange, secret::Password};
use axum::extract::State;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{caller::Caller, extract::ApiJson, rest::errors::ChangeErrors},
    problem::ApiError,
    state::AppState,
};

/// The current password and a new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange, example = json!({
    "current_password": "violet kettle drums outside", "new_password": "tr0mbone ladder mist"
}))]
pub(crate) struct PasswordChangeBody {
    /// The current password.
    #[schema(format = Password)]
    current_password: String,
    /// The new password: at least 15 characters, and not easy to guess.
    #[schema(format = Password, min_length = 15)]
    new_password: String,
}

/// Change your password
///
/// Signs you out of all other sessions. This session continues with a new cookie, which the
/// response sets. A wrong current password counts as a failed sign-in attempt. For
/// signed-in people.
#[utoipa::path(
    post,
    path = "/api/v1/account/password",
    operation_id = "changePassword",
    tag = "Account",
    request_body = PasswordChangeBody,
    responses(
        (status = 204, description = "The password was changed",
            headers(("Set-Cookie" = String, description = "The session's new cookie"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_password(
    State(state): State<AppState>,
    Caller(context): Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<PasswordChangeBody>,
) -> Result<(StatusCode, HeaderMap), ApiError> {
    let change = PasswordChange {
        current: Password::new(body.current_password),
        new: Password::new(body.new_password),
        known_browser: state.cookies.known_browser(&headers),
    };
    let changed = state.authority.passwords().change(&context, change).await?;
    let mut answered = HeaderMap::new();
    for cookie in state.cookies.after_change(&changed, context.now) {
        answered.append(header::SET_COOKIE, cookie);
    }
    Ok((StatusCode::NO_CONTENT, answered))
}
