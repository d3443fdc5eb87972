//! The theme. It is stored in a cookie, so that the next page has the right theme from its first
//! byte.

use app::{next, theme::Theme};
use authority::ServiceError;
use axum::response::Response;

use super::{
    cookies,
    post::{Done, Post},
};

/// Stores the theme and shows the same page again.
pub(super) async fn theme(post: Post) -> Response {
    let result = keep(&post);
    post.answer_without_page(result).await
}

fn keep(post: &Post) -> Result<Done, ServiceError> {
    let theme: Theme = post
        .form
        .one("theme")
        .parse()
        .map_err(|_| ServiceError::invalid("theme", "must be system, light or dark"))?;
    let cookie = cookies::keep_theme(theme, post.visit.state.cookies.is_secure());
    let location = next::or_home(Some(post.form.one("next"))).to_owned();
    Ok(Done::Redirect { location, cookies: vec![cookie] })
}
