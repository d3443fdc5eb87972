//! Invitations: those of a workspace, and those of the caller (`list_own`, `accept`, `decline`).

mod accept;
mod decline;
mod list;
mod list_own;
mod revoke;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_invitations))
        .routes(routes!(revoke::revoke_invitation))
        .routes(routes!(list_own::list_own_invitations))
        .routes(routes!(accept::accept_invitation))
        .routes(routes!(decline::decline_invitation))
}
