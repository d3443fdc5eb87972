//! Deletes a token permanently.

use app::notice::Notice;
use axum::response::Response;

use super::{back, found};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn delete(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let (tokens, context) = (post.visit.request.authority.tokens(), post.visit.context());
        let children = post.form.one("children") == "true";
        let token = tokens.delete_with_children(&context, id, None, children).await?;
        Ok(back(&post, &token, &Notice::TokenDeleted { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer(result).await
}
