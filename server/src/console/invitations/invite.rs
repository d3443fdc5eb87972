//! Invites a person to a workspace, or adds a user at once.

use app::notice::Notice;
use authority::{Added, NewMember, ServiceError};
use axum::response::Response;
use domain::roles::WorkspaceRole;

use super::{members, slug, to};
use crate::{console::post::Post, http::extract::ApiPath};

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
