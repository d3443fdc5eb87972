//! Forms about invitations, and what they share.

mod accept;
mod decline;
mod invite;
mod revoke;

use app::{next::escape, notice::Notice};
use authority::ServiceError;
use axum::{
    Router,
    routing::{get, post},
};
use domain::{ids::InvitationId, names::Slug};

use super::{
    page,
    post::{Done, Post},
};
use crate::state::AppState;

/// The path of a workspace's members and invitations.
const MEMBERS: &str = "/workspaces/{workspace}/settings/members";

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route(MEMBERS, get(page::still_signed_in).post(invite::invite))
        .route(&format!("{MEMBERS}/{{invitation}}/revoke"), post(revoke::revoke))
        .route("/invitations", get(page::still_signed_in))
        .route("/invitations/{invitation}/accept", post(accept::accept))
        .route("/invitations/{invitation}/decline", post(decline::decline))
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
