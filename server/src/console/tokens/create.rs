//! The form to add a token. The response shows the secret once.

use std::collections::BTreeMap;

use app::posted::{Minted, Secret};
use authority::{ServiceError, TokenDraft};
use axum::response::Response;
use domain::{
    expiry::{self, ExpiryChoice, ExpiryError},
    held::split_pair,
    names::Slug,
    problem::FieldError,
    rate_limit::{RateLimit, RateLimitError},
};

use crate::{
    console::{
        form::Form,
        post::{Done, Post},
    },
    http::extract::ApiPath,
};

/// Creates a token.
pub(super) async fn create(ApiPath(workspace): ApiPath<String>, post: Post) -> Response {
    let result = attempt(&workspace, &post).await;
    post.answer(result).await
}

async fn attempt(workspace: &str, post: &Post) -> Result<Done, ServiceError> {
    let workspace: Slug = workspace.parse().map_err(|_| ServiceError::NotFound("workspace"))?;
    check_apis(&post.form)?;
    let context = post.visit.context();
    let minted = post
        .visit
        .request
        .authority
        .tokens()
        .create(&context, &workspace, draft(&post.form))
        .await
        .map_err(at_fields)?;
    let secret = Secret::new(minted.secret.expose());
    Ok(Done::Minted(Minted { token: minted.token, secret, children_pending: false }))
}

/// Returns the draft in the form. The service checks every value.
fn draft(form: &Form) -> TokenDraft {
    let (grants, audiences, scopes) = match grants(form) {
        Some(grants) => (Some(grants), Vec::new(), Vec::new()),
        None => (None, form.list("audience"), form.list("scope")),
    };
    TokenDraft {
        name: form.text("name"),
        description: form.text("description"),
        user: Some(form.text("user")).filter(|user| !user.trim().is_empty()),
        grants,
        audiences,
        scopes,
        expiry: end(form),
        not_before: None,
        ip_allow: form.list("ip_allow"),
        rate_limit: rate_limit(form.one("rate_limit")),
        creation_key: form.one("creation_key").parse().ok(),
        ..TokenDraft::default()
    }
}

/// Returns the grants that are ticked in the scope tree, whose values are pairs such as
/// `vault/tokens:write`. Returns `None` if no pair is ticked. An audience without ticked scopes is
/// still part of the grants, and a scope without an audience belongs to no audience.
pub(super) fn grants(form: &Form) -> Option<BTreeMap<String, Vec<String>>> {
    let scopes = form.list("scope");
    if !scopes.iter().any(|scope| split_pair(scope).is_some()) {
        return None;
    }
    let mut grants: BTreeMap<String, Vec<String>> =
        form.list("audience").into_iter().map(|audience| (audience, Vec::new())).collect();
    for pair in &scopes {
        let (audience, scope) = split_pair(pair).unwrap_or(("", pair));
        grants.entry(audience.to_owned()).or_default().push(scope.to_owned());
    }
    Some(grants)
}

/// Rejects scopes ticked below an audience that is not ticked: without scripts, all boxes can be
/// ticked.
fn check_apis(form: &Form) -> Result<(), ServiceError> {
    let audiences = form.list("audience");
    let errors: Vec<FieldError> = form
        .list("scope")
        .iter()
        .filter(|scope| {
            split_pair(scope)
                .is_some_and(|(audience, _)| audiences.iter().all(|chosen| chosen != audience))
        })
        .map(|scope| {
            FieldError::new("scopes", format!("include {scope}, but its API is not selected"))
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(errors)) }
}

/// Moves errors to the fields that the form has: errors about grants go to its scopes.
pub(super) fn at_fields(error: ServiceError) -> ServiceError {
    let ServiceError::Invalid(mut errors) = error else { return error };
    for error in errors.iter_mut().filter(|error| error.field == "grants") {
        "scopes".clone_into(&mut error.field);
    }
    ServiceError::Invalid(errors)
}

/// Parses the submitted rate limit. An empty text means no limit.
pub(super) fn rate_limit(text: &str) -> Result<Option<RateLimit>, RateLimitError> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::parse).transpose()
}

/// Parses the submitted expiry: `default`, `30d`, `never`, or `date` with a separate date.
pub(super) fn end(form: &Form) -> Result<ExpiryChoice, ExpiryError> {
    match form.one("expires") {
        "date" => match form.one("expires_date").trim() {
            "" => Err(ExpiryError::Form),
            date => expiry::parse(date),
        },
        choice => expiry::parse(choice),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};
    use proptest::prelude::*;

    use super::*;

    fn form(body: &str) -> Form {
        let mut headers = HeaderMap::new();
        let value = "application/x-www-form-urlencoded";
        headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
        Form::read(&headers, body.as_bytes()).unwrap()
    }

    #[test]
    fn draft_has_the_values_of_the_form() {
        let draft = draft(&form(
            "creation_key=0193a5b0-0000-7000-8000-000000000000&name=ci&description=&user=\
             &audience=default&audience=tessera&scope=default%2Frivers%3Aread&scope=default%2Frivers%3Arun\
             &expires=30d&expires_date=&ip_allow=10.0.0.0%2F8%2C192.0.2.1&rate_limit=+600%2F1m",
        ));
        assert_eq!(draft.name, "ci");
        assert_eq!(draft.user, None);
        assert_eq!(
            serde_json::json!(draft.grants),
            serde_json::json!({"default": ["rivers:read", "rivers:run"], "tessera": []})
        );
        assert_eq!(draft.expiry, Ok(ExpiryChoice::In(30 * 86_400)));
        assert_eq!(draft.ip_allow, ["10.0.0.0/8", "192.0.2.1"]);
        assert_eq!(draft.rate_limit, RateLimit::new(600, 60).map(Some));
        assert!(draft.creation_key.is_some());
    }

    #[test]
    fn date_counts_only_if_selected() {
        assert_eq!(end(&form("expires=never&expires_date=2030-01-01")), Ok(ExpiryChoice::Never));
        assert!(matches!(
            end(&form("expires=date&expires_date=2030-01-01")),
            Ok(ExpiryChoice::At(_))
        ));
        assert_eq!(end(&form("expires=date&expires_date=")), Err(ExpiryError::Form));
        assert_eq!(end(&form("")), Ok(ExpiryChoice::Default));
    }

    #[test]
    fn unqualified_scopes_use_the_flat_form() {
        let draft = draft(&form("audience=default&scope=rivers%3Aread"));
        assert_eq!((draft.grants, draft.audiences), (None, vec!["default".to_owned()]));
        assert_eq!(draft.scopes, ["rivers:read"]);
    }

    #[test]
    fn scope_of_an_unselected_api_is_refused() {
        assert!(check_apis(&form("audience=default&scope=vault%2Fa")).is_err());
        assert!(check_apis(&form("audience=default&audience=vault&scope=vault%2Fa")).is_ok());
    }

    proptest! {
        #[test]
        fn any_values_yield_a_draft(values in proptest::collection::vec(
            ("(name|user|scope|expires|expires_date|ip_allow|rate_limit|creation_key)", any::<String>()), 0..6,
        )) {
            let _ = draft(&form(&serde_urlencoded::to_string(&values).unwrap()));
        }
    }
}
