//! Enables a disabled token.

use app::notice::Notice;
use axum::response::Response;

use super::{back, found};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn enable(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        let token = tokens.enable(&post.visit.context(), id, None).await?;
        Ok(back(&post, &token, &Notice::TokenEnabled { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer_without_page(result).await
}
