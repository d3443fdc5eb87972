//! Forms whose answer shows a secret: rotate, and show the one of a recoverable token.

use app::posted::{Minted, Secret};
use authority::{Grace, MintedToken, Rotation, ServiceError};
use axum::response::Response;

use super::{
    post::{Done, Post},
    token_change::found,
};
use crate::http::extract::ApiPath;

/// How long an older secret works at most when it ends with the first use of the newer one.
const UNTIL_FIRST_USE_S: i64 = 7 * 86_400;

/// Gives a token a new secret.
pub(super) async fn rotate(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let rotation = rotation(&post)?;
        let expected = post.form.one("version").parse().ok();
        let tokens = post.visit.request.authority.tokens();
        tokens.rotate(&post.visit.context(), id, rotation, expected).await
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
        tokens.reveal(&post.visit.context(), id).await
    };
    let result = result.await.map(shown);
    post.answer(result).await
}

fn shown(minted: MintedToken) -> Done {
    let secret = Secret::new(minted.secret.expose());
    Done::Minted(Minted { token: minted.token, secret })
}

fn rotation(post: &Post) -> Result<Rotation, ServiceError> {
    let grace = match post.form.one("grace") {
        "first-use" => Grace::UntilFirstUse(UNTIL_FIRST_USE_S),
        text => match text.parse() {
            Ok(seconds) => Grace::Seconds(seconds),
            Err(_) => return Err(ServiceError::invalid("grace_s", "must be one of the choices")),
        },
    };
    Ok(Rotation { grace, ..Rotation::default() })
}
