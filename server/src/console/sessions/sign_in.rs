//! Signing in. This always begins a new session, whatever cookie came with the form.

use app::{next, notice::Notice};
use authority::{ServiceError, SignIn, SignedIn, secret::Password};
use axum::response::Response;
use http::HeaderValue;

use crate::{
    console::{
        PASSWORD,
        post::{Done, Post},
    },
    http::proxy_hint,
};

/// Signs in and redirects to the page that the person wanted to open.
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
        known_browser: visit.state.cookies.known_browser(&visit.headers),
    };
    let sessions = visit.request.authority.sessions();
    let context = visit.context();
    let signed_in = sessions.sign_in(&context, typed).await?;
    proxy_hint::note(sessions, &context, visit.untrusted_proxy).await;
    if let Some(old) = visit.state.cookies.read(&visit.headers) {
        sessions.replace(&visit.context(), &old).await?;
    }
    let mut cookies = begin(post, &signed_in)?;
    if signed_in.must_change_password {
        return Ok(Done::Redirect { location: PASSWORD.to_owned(), cookies });
    }
    if signed_in.password_is_weak {
        cookies.push(post.notice(&Notice::PasswordIsWeak));
    }
    let location = next::or_home(Some(form.one("next"))).to_owned();
    Ok(Done::Redirect { location, cookies })
}

/// Returns the `Set-Cookie` values that begin a session and store the proof that this browser has
/// signed in.
pub(in crate::console) fn begin(
    post: &Post,
    signed_in: &SignedIn,
) -> Result<Vec<HeaderValue>, ServiceError> {
    let lifetime = signed_in.expires_at - post.visit.context().now;
    let cookies = post.visit.state.cookies;
    let session = cookies.set(&signed_in.secret, lifetime).ok_or_else(|| {
        ServiceError::internal("the session's secret is not a valid cookie value")
    })?;
    let known = signed_in.known_browser.as_ref();
    let known = known.and_then(|proof| cookies.keep_known_browser(proof));
    Ok(std::iter::once(session).chain(known).collect())
}
