//! The one-time set-up link, which sets the instance up and signs its owner in.

use app::notice::Notice;
use authority::{
    ServiceError, SetupForm,
    secret::{Password, SetupSecret},
};
use axum::response::Response;

use crate::{
    console::{
        post::{Done, Post},
        sessions::begin,
    },
    http::extract::ApiPath,
};

/// Sets the instance up.
pub(super) async fn complete(ApiPath(secret): ApiPath<String>, post: Post) -> Response {
    let result = attempt(secret, &post).await;
    post.answer(result).await
}

async fn attempt(secret: String, post: &Post) -> Result<Done, ServiceError> {
    let Post { visit, form } = post;
    let typed = SetupForm {
        organisation: form.text("organisation"),
        email: form.text("email"),
        name: form.text("name"),
        password: Password::new(form.text("password")),
        workspace_name: form.text("workspace_name"),
        user_agent: visit.user_agent(),
    };
    let context = visit.context();
    let signed_in = visit
        .request
        .authority
        .setup()
        .complete(&context, &SetupSecret::new(secret), typed)
        .await?;
    let mut cookies = begin(post, &signed_in)?;
    cookies.push(post.notice(&Notice::SetUp));
    Ok(Done::Redirect { location: app::next::HOME.to_owned(), cookies })
}
