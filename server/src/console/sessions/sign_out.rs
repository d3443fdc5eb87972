//! Signing out. The server ends the session, so it is not only forgotten by the browser.

use app::notice::Notice;
use authority::ServiceError;
use axum::response::Response;

use crate::console::post::{Done, Post};

/// Ends the session.
pub(super) async fn sign_out(post: Post) -> Response {
    let result = attempt(&post).await;
    post.answer_without_page(result).await
}

async fn attempt(post: &Post) -> Result<Done, ServiceError> {
    let visit = &post.visit;
    if let Some(secret) = visit.state.cookies.read(&visit.headers) {
        visit.request.authority.sessions().sign_out(&visit.context(), &secret).await?;
    }
    let cookies = vec![visit.state.cookies.clear(), post.notice(&Notice::SignedOut)];
    Ok(Done::Redirect { location: "/sign-in".to_owned(), cookies })
}
