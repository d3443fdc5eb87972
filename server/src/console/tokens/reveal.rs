//! Shows the secret of a recoverable token.

use axum::response::Response;

use super::{found, shown};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn reveal(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        tokens.reveal(&post.visit.context(), id, None).await
    };
    let result = result.await.map(shown);
    post.answer(result).await
}
