//! The form to edit a token.

use app::notice::Notice;
use authority::{Edit, TokenPatch};
use axum::response::Response;

use super::{
    back,
    create::{at_fields, end, grants, rate_limit},
    found,
};
use crate::{
    console::{form::Form, post::Post},
    http::extract::ApiPath,
};

/// Applies the form's changes to a token.
pub(super) async fn update(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let expected = post.form.one("version").parse().ok();
        let tokens = post.visit.request.authority.tokens();
        let patch = patch(&post.form);
        let token = tokens.update(&post.visit.context(), id, expected, patch).await;
        let token = token.map_err(at_fields)?;
        Ok(back(&post, &token, &Notice::TokenSaved { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer(result).await
}

/// Returns the changes in the form. Fields that it does not contain stay unchanged.
fn patch(form: &Form) -> TokenPatch {
    let grants = grants(form);
    TokenPatch {
        name: Some(form.text("name")),
        description: Some(form.text("description")),
        expiry: (!matches!(form.one("expires"), "" | "keep")).then(|| end(form)),
        ip_allow: Some(form.list("ip_allow")),
        rate_limit: match form.all("rate_limit").next().map(rate_limit) {
            None => Edit::Keep,
            Some(Ok(None)) => Edit::Remove,
            Some(Ok(Some(limit))) => Edit::Set(Ok(limit)),
            Some(Err(error)) => Edit::Set(Err(error)),
        },
        scopes: grants.is_none().then(|| form.all("scope").map(str::to_owned).collect()),
        grants,
        ..TokenPatch::default()
    }
}
