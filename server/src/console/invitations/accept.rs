//! Makes the visitor a member of the workspace that invited them.

use app::{next::escape, notice::Notice};
use axum::response::Response;

use super::{id, to};
use crate::{console::post::Post, http::extract::ApiPath};

pub(super) async fn accept(ApiPath(invitation): ApiPath<String>, post: Post) -> Response {
    let result = async {
        let invitations = post.visit.request.authority.invitations();
        let accepted = invitations.accept(&post.visit.context(), id(&invitation)?).await?;
        let location = format!("/workspaces/{}", escape(accepted.workspace.as_ref()));
        let workspace = accepted.workspace_name.to_string();
        Ok(to(&post, location, &Notice::InvitationAccepted { workspace }))
    };
    let result = result.await;
    post.answer_without_page(result).await
}
