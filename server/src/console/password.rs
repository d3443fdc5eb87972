//! Passwords: changing one's own, and setting one with a one-time link.

use app::notice::Notice;
use authority::{
    PasswordChange, ServiceError,
    secret::{Password, PasswordLinkSecret},
};
use axum::response::Response;

use super::post::{Done, Post};
use crate::http::extract::ApiPath;

/// Changes the password of the signed-in person.
pub(super) async fn change(post: Post) -> Response {
    let result = changed(&post).await;
    post.answer(result).await
}

async fn changed(post: &Post) -> Result<Done, ServiceError> {
    let Post { visit, form } = post;
    let cookies = visit.state.cookies;
    let change = PasswordChange {
        current: Password::new(form.text("current_password")),
        new: Password::new(form.text("new_password")),
        known_browser: cookies.known_browser(&visit.headers),
    };
    let context = visit.context();
    let changed = visit.request.authority.passwords().change(&context, change).await?;
    let mut cookies = cookies.after_change(&changed, context.now);
    cookies.push(post.notice(&Notice::PasswordChanged));
    Ok(Done::Redirect { location: app::next::HOME.to_owned(), cookies })
}

/// Sets the password of the person to whom the link belongs.
pub(super) async fn reset(ApiPath(secret): ApiPath<String>, post: Post) -> Response {
    let result = set(secret, &post).await;
    post.answer(result).await
}

async fn set(secret: String, post: &Post) -> Result<Done, ServiceError> {
    let Post { visit, form } = post;
    let new = Password::new(form.text("new_password"));
    let secret = PasswordLinkSecret::new(secret);
    visit.request.authority.passwords().redeem(&visit.context(), &secret, &new).await?;
    let cookies = vec![post.notice(&Notice::PasswordSet)];
    Ok(Done::Redirect { location: "/sign-in".to_owned(), cookies })
}
