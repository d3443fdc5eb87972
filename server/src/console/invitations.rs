//! Forms about invitations: invite, revoke, accept, decline.

use app::{next::escape, notice::Notice};
use authority::{Added, NewMember, ServiceError};
use axum::response::Response;
use domain::{ids::InvitationId, names::Slug, roles::WorkspaceRole};

use super::post::{Done, Post};
use crate::http::extract::ApiPath;

/// Invites a person to a workspace, or adds a user at once.
pub(super) async fn invite(ApiPath(workspace): ApiPath<String>, post: Post) -> Response {
    let result = async {
        let slug = slug(&workspace)?;
        let role: WorkspaceRole = post.form.one("role").parse().map_err(|_| {
            ServiceError::invalid("role", "must be admin, member, viewer or verifier")
        })?;
        let grants = post.form.list("grants");
        let grants = (!grants.is_empty()).then_some(grants);
        let new = NewMember { user: post.form.text("user"), role, grants };
        let workspaces = post.visit.request.authority.workspaces();
        let added = workspaces.add_member(&post.visit.context(), &slug, new).await;
        let notice = match added.map_err(at_fields)? {
            Added::Member(member) => Notice::MemberAdded { email: member.user.email },
            Added::Invited(invitation) => Notice::Invited { email: invitation.email },
        };
        Ok(to(&post, members(&workspace), &notice))
    };
    let result = result.await;
    post.answer(result).await
}

/// Revokes an invitation of a workspace.
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

/// Makes the visitor a member of the workspace that invited them.
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

/// Declines an invitation of the visitor.
pub(super) async fn decline(ApiPath(invitation): ApiPath<String>, post: Post) -> Response {
    let result = async {
        let invitations = post.visit.request.authority.invitations();
        invitations.decline(&post.visit.context(), id(&invitation)?).await?;
        Ok(to(&post, "/invitations".to_owned(), &Notice::InvitationDeclined))
    };
    let result = result.await;
    post.answer_without_page(result).await
}

fn members(workspace: &str) -> String {
    format!("/workspaces/{}/settings/members", escape(workspace))
}

/// Redirects to another page, which shows the notice.
fn to(post: &Post, location: String, notice: &Notice) -> Done {
    Done::Redirect { location, cookies: vec![post.notice(notice)] }
}

fn slug(text: &str) -> Result<Slug, ServiceError> {
    text.parse().map_err(|_| ServiceError::NotFound("workspace"))
}

fn id(text: &str) -> Result<InvitationId, ServiceError> {
    text.parse().map_err(|_| ServiceError::NotFound("invitation"))
}

/// Moves the errors of single patterns to the field that contains all of them.
fn at_fields(error: ServiceError) -> ServiceError {
    let ServiceError::Invalid(mut errors) = error else { return error };
    for error in &mut errors {
        if error.field.starts_with("grants[") {
            "grants".clone_into(&mut error.field);
        }
    }
    ServiceError::Invalid(errors)
}
