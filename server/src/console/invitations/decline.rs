//! Declines an invitation of the visitor.

use app::notice::Notice;
use axum::response::Response;

use super::{id, to};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn decline(ApiPath(invitation): ApiPath<String>, post: Post) -> Response {
    let result = async {
        let invitations = post.visit.request.authority.invitations();
        invitations.decline(&post.visit.context(), id(&invitation)?).await?;
        Ok(to(&post, "/invitations".to_owned(), &Notice::InvitationDeclined))
    };
    let result = result.await;
    post.answer_without_page(result).await
}
