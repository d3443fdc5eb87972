//! Disables a token until it is enabled again.

use app::notice::Notice;
use axum::response::Response;

use super::{back, found};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn disable(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        let children = post.form.one("children") == "true";
        let context = post.visit.context();
        let token = tokens.disable_with_children(&context, id, None, children).await?;
        Ok(back(&post, &token, &Notice::TokenDisabled { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer(result).await
}
