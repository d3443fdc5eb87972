//! Forms whose response shows a secret: rotating a token, and revealing the secret of a recoverable
//! token.

use app::posted::{Minted, Secret};
use authority::{MintedToken, RotationDraft, ServiceError};
use axum::response::Response;

use super::{
    form::Form,
    post::{Done, Post},
    token_change::found,
};
use crate::http::extract::ApiPath;

/// How long an older secret works at most if it expires at the first use of the newer secret.
const UNTIL_FIRST_USE_S: i64 = 7 * 86_400;

/// Gives a token a new secret.
pub(super) async fn rotate(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let draft = draft(&post.form)?;
        let expected = post.form.one("version").parse().ok();
        let tokens = post.visit.request.authority.tokens();
        tokens.rotate(&post.visit.context(), id, expected, draft).await
    };
    let result = result.await.map(shown);
    post.answer(result).await
}

/// Shows the secret of a recoverable token.
pub(super) async fn reveal(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        tokens.reveal(&post.visit.context(), id, None).await
    };
    let result = result.await.map(shown);
    post.answer(result).await
}

fn shown(minted: MintedToken) -> Done {
    let secret = Secret::new(minted.secret.expose());
    let children_pending = minted.children_pending;
    Done::Minted(Minted { token: minted.token, secret, children_pending })
}

fn draft(form: &Form) -> Result<RotationDraft, ServiceError> {
    let (grace_s, until_first_use) = match form.one("grace") {
        "first-use" => (Some(UNTIL_FIRST_USE_S), true),
        text => match text.parse() {
            Ok(seconds) => (Some(seconds), false),
            Err(_) => return Err(ServiceError::invalid("grace_s", "must be one of the options")),
        },
    };
    let children = form.one("children") == "true";
    Ok(RotationDraft { grace_s, until_first_use, expiry: None, children })
}
