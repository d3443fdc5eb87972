//! Ends the grace period of a token's older secret.

use app::notice::Notice;
use axum::response::Response;

use super::{back, found};
use crate::{console::post::Post, http::extract::ApiPath};

/// Revokes a token's older secret.
pub(super) async fn end_grace(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        let token = tokens.end_grace(&post.visit.context(), id, None).await?;
        Ok(back(&post, &token, &Notice::GraceEnded { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer_without_page(result).await
}
