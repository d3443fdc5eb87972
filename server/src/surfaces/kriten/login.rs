//! `POST /api/v1/login`

use authority::{SignIn, Surface, secret::Password};
use axum::{Json, extract::State};
use domain::problem::ProblemCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{body::JsonBody, shapes::Errors};
use crate::http::{AppState, caller::anonymous, problem::ApiError};

/// The one way of knowing people: Tessera's own accounts.
const PROVIDER: &str = "local";

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "username": "ada@example.com", "password": "correct horse battery staple", "provider": "local"
}))]
pub(super) struct Credentials {
    /// The e-mail address.
    #[serde(default)]
    #[schema(required = true)]
    username: Option<String>,
    /// The password.
    #[serde(default)]
    #[schema(required = true)]
    password: Option<String>,
    /// `local`.
    #[serde(default)]
    #[schema(required = true)]
    provider: Option<String>,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginToken {
    /// What to send as `Authorization: Bearer`. It ends as a session of the console does.
    token: String,
}

/// Log in
///
/// Tries are counted together with those of the console.
#[utoipa::path(
    post,
    path = "/api/v1/login",
    operation_id = "login",
    tag = "authenticate",
    security(()),
    request_body = Credentials,
    responses((status = 200, description = "A new session", body = LoginToken), Errors),
)]
pub(super) async fn login(
    State(state): State<AppState>,
    mut parts: Parts,
    body: Result<JsonBody<Credentials>, ApiError>,
) -> Result<Json<LoginToken>, ApiError> {
    let JsonBody(credentials) = body.map_err(|_| unusable("invalid login payload"))?;
    let given = |text: Option<String>| {
        text.filter(|text| !text.is_empty()).ok_or_else(|| unusable("invalid login payload"))
    };
    let email = given(credentials.username)?;
    let password = Password::new(given(credentials.password)?);
    if given(credentials.provider)? != PROVIDER {
        return Err(unusable("invalid authentication provider"));
    }
    let context = anonymous(&mut parts, &state, Surface::Kriten).await;
    let user_agent = context.user_agent.as_deref().map(str::to_owned);
    let sign_in = SignIn { email, password, user_agent };
    let signed_in = state.authority.sessions().sign_in(&context, sign_in).await?;
    Ok(Json(LoginToken { token: signed_in.secret.expose().to_owned() }))
}

fn unusable(text: &str) -> ApiError {
    ApiError::new(ProblemCode::MalformedRequest, text)
}
