//! The pages for GET requests.

use app::next;
use axum::response::{IntoResponse, Redirect, Response};
use domain::problem::ProblemCode;
use http::Uri;

use super::{PASSWORD, render, visit::Visit};
use crate::{http::refusals::Refused, problem::ApiError};

/// Renders a page for every visitor.
pub(super) async fn open(visit: Visit) -> Response {
    render::page(&visit).await
}

/// Renders a page for signed-in people. Other visitors sign in first and are then sent back.
pub(super) async fn signed_in(visit: Visit) -> Response {
    if visit.must_change_password() {
        return to_password();
    }
    if visit.is_signed_in() {
        return render::page(&visit).await;
    }
    to_sign_in(&visit)
}

/// Renders a page without scripts for signed-in people.
pub(super) async fn still_signed_in(visit: Visit) -> Response {
    if visit.must_change_password() {
        return to_password();
    }
    password(visit).await
}

/// Renders the page to change one's own password, without scripts.
pub(super) async fn password(visit: Visit) -> Response {
    if visit.is_signed_in() {
        return render::still_page(&visit).await;
    }
    to_sign_in(&visit)
}

/// Renders a page without scripts for every visitor.
pub(super) async fn still(visit: Visit) -> Response {
    render::still_page(&visit).await
}

/// Redirects people who must change their password to the page for that.
fn to_password() -> Response {
    let mut response = Redirect::to(PASSWORD).into_response();
    Refused::page(ProblemCode::PasswordChangeRequired).mark(&mut response);
    response
}

fn to_sign_in(visit: &Visit) -> Response {
    let path = visit.uri.path_and_query().map_or(next::HOME, |path| path.as_str());
    if path == next::HOME {
        return Redirect::to("/sign-in").into_response();
    }
    Redirect::to(&format!("/sign-in?next={}", next::escape(path))).into_response()
}

/// Renders the page to sign in. Signed-in people are redirected to their destination.
pub(super) async fn sign_in(visit: Visit) -> Response {
    if visit.is_signed_in() {
        return Redirect::to(next::or_home(wanted(&visit.uri).as_deref())).into_response();
    }
    render::page(&visit).await
}

/// Responds that no page has this address.
pub(super) async fn not_found(visit: Visit) -> Response {
    if visit.wants_json() {
        return ApiError::new(ProblemCode::NotFound, "There is nothing at this address.")
            .into_response();
    }
    render::page(&visit).await
}

/// Returns the page to open after signing in.
fn wanted(uri: &Uri) -> Option<String> {
    let fields: Vec<(String, String)> = serde_urlencoded::from_str(uri.query()?).ok()?;
    fields.into_iter().find_map(|(name, value)| (name == "next").then_some(value))
}
