//! Delete: for good.

use app::{next::escape, notice::Notice};
use authority::ServiceError;
use axum::response::Response;
use domain::ids::TokenId;

use super::post::{Done, Post};
use crate::http::extract::ApiPath;

/// Deletes a token.
pub(super) async fn token_delete(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = attempt(&workspace, &token, &post).await;
    post.answer(result).await
}

async fn attempt(workspace: &str, token: &str, post: &Post) -> Result<Done, ServiceError> {
    let id: TokenId = token.parse().map_err(|_| ServiceError::NotFound("token"))?;
    let context = post.visit.context();
    let tokens = post.visit.request.authority.tokens();
    // The address names the workspace too: a token of another one has another address.
    if tokens.show(&context, id).await?.workspace.as_ref() != workspace {
        return Err(ServiceError::NotFound("token"));
    }
    let token = tokens.delete(&context, id, None).await?;
    let location = format!("/workspaces/{}/settings/tokens", escape(token.workspace.as_ref()));
    // The hydrated console goes back to its list by itself, and says so by itself.
    let cookies = if post.visit.wants_json() {
        Vec::new()
    } else {
        vec![post.notice(&Notice::TokenDeleted { name: token.name })]
    };
    Ok(Done::Redirect { location, cookies })
}
