//! Forms about tokens, and what they share.

mod create;
mod delete;
mod disable;
mod enable;
mod end_grace;
mod reveal;
mod rotate;
mod update;

use app::{
    next::escape,
    notice::Notice,
    posted::{Minted, Secret},
};
use authority::{MintedToken, ServiceError};
use axum::{
    Router,
    routing::{get, post},
};
use domain::{ids::TokenId, token::Token};

use super::{
    page,
    post::{Done, Post},
};
use crate::state::AppState;

/// The path of a workspace's tokens.
const TOKENS: &str = "/workspaces/{workspace}/settings/tokens";

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route(TOKENS, get(page::signed_in))
        .route(&format!("{TOKENS}/new"), get(page::signed_in).post(create::create))
        .route(&format!("{TOKENS}/{{token}}"), get(page::signed_in))
        .route(&of_token("delete"), get(page::signed_in).post(delete::delete))
        .route(&of_token("edit"), get(page::signed_in).post(update::update))
        .route(&of_token("rotate"), get(page::signed_in).post(rotate::rotate))
        .route(&of_token("reveal"), get(page::signed_in).post(reveal::reveal))
        .route(&of_token("disable"), get(page::signed_in).post(disable::disable))
        .route(&of_token("enable"), post(enable::enable))
        .route(&of_token("end-grace"), post(end_grace::end_grace))
}

/// Returns the path of a form about one token.
fn of_token(what: &str) -> String {
    format!("{TOKENS}/{{token}}/{what}")
}

/// Returns the token in the address, which also names its workspace. A token of another workspace
/// has another address.
async fn found(workspace: &str, token: &str, post: &Post) -> Result<TokenId, ServiceError> {
    let id: TokenId = token.parse().map_err(|_| ServiceError::NotFound("token"))?;
    let tokens = post.visit.request.authority.tokens();
    if tokens.show(&post.visit.context(), id).await?.workspace.as_ref() != workspace {
        return Err(ServiceError::NotFound("token"));
    }
    Ok(id)
}

/// Redirects to the list. The hydrated console navigates there and shows the notice by itself.
fn back(post: &Post, token: &Token, notice: &Notice) -> Done {
    let location = format!("/workspaces/{}/settings/tokens", escape(token.workspace.as_ref()));
    let cookies = if post.visit.wants_json() { Vec::new() } else { vec![post.notice(notice)] };
    Done::Redirect { location, cookies }
}

fn shown(minted: MintedToken) -> Done {
    let secret = Secret::new(minted.secret.expose());
    let children_pending = minted.children_pending;
    Done::Minted(Minted { token: minted.token, secret, children_pending })
}
