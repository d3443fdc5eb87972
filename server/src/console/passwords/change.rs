//! Changes the password of the signed-in person.

use app::notice::Notice;
use authority::{PasswordChange, ServiceError, secret::Password};
use axum::response::Response;

use crate::console::post::{Done, Post};

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
