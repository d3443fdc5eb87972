//! Revokes an invitation of a workspace.

use app::notice::Notice;
use axum::response::Response;

use super::{id, members, slug, to};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn revoke(
    ApiPath((workspace, invitation)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let (slug, id) = (slug(&workspace)?, id(&invitation)?);
        let invitations = post.visit.request.authority.invitations();
        invitations.revoke(&post.visit.context(), &slug, id).await?;
        Ok(to(&post, members(&workspace), &Notice::InvitationRevoked))
    };
    let result = result.await;
    post.answer_without_page(result).await
}
