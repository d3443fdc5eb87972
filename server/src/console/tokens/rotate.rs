//! The form to rotate a token. The response shows the new secret once.

use authority::{RotationDraft, ServiceError};
use axum::response::Response;

use super::{found, shown};
use crate::{
    console::{form::Form, post::Post},
    http::extract::ApiPath,
};

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
