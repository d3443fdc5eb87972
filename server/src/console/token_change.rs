//! Forms about one token that lead back to the list: edit, enable, disable, end the grace period of
//! the older secret.

use app::{next::escape, notice::Notice};
use authority::{Edit, ServiceError, TokenPatch};
use axum::response::Response;
use domain::{ids::TokenId, token::Token};

use super::{
    form::Form,
    post::{Done, Post},
    token_create::{at_fields, end, grants, rate_limit},
};
use crate::http::extract::ApiPath;

/// Applies the form's changes to a token.
pub(super) async fn edit(
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

/// Enables a disabled token.
pub(super) async fn enable(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        let token = tokens.enable(&post.visit.context(), id, None).await?;
        Ok(back(&post, &token, &Notice::TokenEnabled { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer_without_page(result).await
}

/// Disables a token until it is enabled again.
pub(super) async fn disable(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        let children = post.form.one("children") == "true";
        let context = post.visit.context();
        let token = tokens.disable_with_children(&context, id, None, children).await?;
        Ok(back(&post, &token, &Notice::TokenDisabled { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer(result).await
}

/// Revokes a token's older secret.
pub(super) async fn end_grace(
    ApiPath((workspace, token)): ApiPath<(String, String)>,
    post: Post,
) -> Response {
    let result = async {
        let id = found(&workspace, &token, &post).await?;
        let tokens = post.visit.request.authority.tokens();
        let token = tokens.end_grace(&post.visit.context(), id, None).await?;
        Ok(back(&post, &token, &Notice::GraceEnded { name: token.name.clone() }))
    };
    let result = result.await;
    post.answer_without_page(result).await
}

/// Returns the token in the address, which also names its workspace. A token of another workspace
/// has another address.
pub(super) async fn found(
    workspace: &str,
    token: &str,
    post: &Post,
) -> Result<TokenId, ServiceError> {
    let id: TokenId = token.parse().map_err(|_| ServiceError::NotFound("token"))?;
    let tokens = post.visit.request.authority.tokens();
    if tokens.show(&post.visit.context(), id).await?.workspace.as_ref() != workspace {
        return Err(ServiceError::NotFound("token"));
    }
    Ok(id)
}

/// Redirects to the list. The hydrated console navigates there and shows the notice by itself.
pub(super) fn back(post: &Post, token: &Token, notice: &Notice) -> Done {
    let location = format!("/workspaces/{}/settings/tokens", escape(token.workspace.as_ref()));
    let cookies = if post.visit.wants_json() { Vec::new() } else { vec![post.notice(notice)] };
    Done::Redirect { location, cookies }
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
