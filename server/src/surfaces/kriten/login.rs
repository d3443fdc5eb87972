//! `POST /api/v1/login`.

use authority::{ServiceError, SignIn, Surface, secret::Password};
use axum::{Json, extract::State};
use domain::problem::ProblemCode;
use http::{HeaderMap, header, request::Parts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{body::JsonBody, shapes::Errors};
use crate::{
    http::{caller::anonymous, proxy_hint},
    problem::ApiError,
    request::{
        client_ip::{peer, untrusted_proxy},
        origin::check_sender,
    },
    state::AppState,
};

/// The only provider of people: Tessera's own accounts.
const PROVIDER: &str = "local";

/// The credentials of a person.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "username": "ada@example.com", "password": "violet kettle drums outside", "provider": "local"
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
    /// The value for `Authorization: Bearer`. It expires like a session of the console.
    token: String,
}

/// Log in
///
/// Attempts are counted together with those of the console.
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
    check_sender(&state.hosts, &state.origins, &parts)?;
    check_kind(&parts.headers)?;
    let JsonBody(credentials) = body.map_err(|error| match error.code() {
        ProblemCode::MalformedRequest | ProblemCode::ValidationFailed => {
            unusable("invalid login payload")
        }
        // The payload was not received.
        _ => error,
    })?;
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
    // Cookies are not read here, but the networks from which a person has signed in are still
    // recognised.
    let sign_in = SignIn { email, password, user_agent, known_browser: None };
    let sessions = state.authority.sessions();
    let signed_in = sessions.sign_in(&context, sign_in).await.map_err(|error| match error {
        // Kriten's clients cannot change the password.
        ServiceError::PasswordChangeRequired => ApiError::new(
            ProblemCode::PasswordChangeRequired,
            format!(
                "change your password first: sign in at {}/sign-in",
                state.config.public_origin()
            ),
        ),
        error => error.into(),
    })?;
    let proxy = untrusted_proxy(peer(&parts.extensions), &parts.headers, &state.trusted_proxies);
    proxy_hint::note(sessions, &context, proxy).await;
    Ok(Json(LoginToken { token: signed_in.secret.expose().to_owned() }))
}

/// Rejects the content types that a page of another site can make a browser send without a
/// preflight. Programs declare JSON, or a form, as curl's `--data` does, or nothing.
fn check_kind(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| {
        let kind = kind.to_str().unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    });
    match kind.as_deref() {
        None | Some("application/json" | "application/x-www-form-urlencoded") => Ok(()),
        Some(_) => Err(ApiError::new(
            ProblemCode::UnsupportedMediaType,
            "The body must be JSON, sent with the header \"Content-Type: application/json\".",
        )),
    }
}

fn unusable(text: &str) -> ApiError {
    ApiError::new(ProblemCode::MalformedRequest, text)
}
