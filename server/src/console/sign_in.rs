//! Signing in: always a new session, whatever cookie came with the form.

use app::next;
use authority::{ServiceError, SignIn, SignedIn, secret::Password};
use axum::response::Response;
use http::HeaderValue;

use super::post::{Done, Post};

/// Signs in and goes on to where somebody wanted to go.
pub(super) async fn sign_in(post: Post) -> Response {
    let result = attempt(&post).await;
    post.answer(result).await
}

async fn attempt(post: &Post) -> Result<Done, ServiceError> {
    let Post { visit, form } = post;
    let typed = SignIn {
        email: form.text("email"),
        password: Password::new(form.text("password")),
        user_agent: visit.user_agent(),
    };
    let sessions = visit.request.authority.sessions();
    let signed_in = sessions.sign_in(&visit.context(), typed).await?;
    if let Some(old) = visit.state.cookies.read(&visit.headers) {
        sessions.sign_out(&visit.context(), &old).await?;
    }
    let location = next::or_home(Some(form.one("next"))).to_owned();
    Ok(Done::Redirect { location, cookies: vec![begin(post, &signed_in)?] })
}

/// The `Set-Cookie` value that begins a session.
pub(super) fn begin(post: &Post, signed_in: &SignedIn) -> Result<HeaderValue, ServiceError> {
    let lifetime = signed_in.expires_at - post.visit.context().now;
    post.visit
        .state
        .cookies
        .set(&signed_in.secret, lifetime)
        .ok_or_else(|| ServiceError::internal("the session's secret is no cookie value"))
}
