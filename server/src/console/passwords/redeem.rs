//! Sets a password with a one-time link.

use app::notice::Notice;
use authority::{
    ServiceError,
    secret::{Password, PasswordLinkSecret},
};
use axum::response::Response;

use crate::{
    console::post::{Done, Post},
    http::extract::ApiPath,
};

/// Sets the password of the person to whom the link belongs.
pub(super) async fn redeem(ApiPath(secret): ApiPath<String>, post: Post) -> Response {
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
