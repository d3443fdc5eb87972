//! Renders pages with leptos.
//!
//! Every page is rendered completely before its first byte is sent, so that its status is right. A
//! page that responds to a GET includes the loader and the data that the browser needs to hydrate
//! it. A page that responds to a POST includes neither.

use std::{pin::Pin, sync::Arc};

use any_spawner::{CustomExecutor, Executor, PinnedFuture, PinnedLocalFuture};
use app::{Document, posted::Posted};
use authority::Holder;
use axum::{body::Body, http::Request, response::Response};
use domain::problem::Problem;
use futures::{Stream, StreamExt, stream::once};
use http::{HeaderValue, Method, StatusCode, header};
use leptos::{
    nonce::use_nonce,
    prelude::{AnyView, IntoAny, RenderHtml, expect_context, provide_context},
};
use leptos_axum::ResponseOptions;

use super::{cookies, visit::Visit};
use crate::{
    assets,
    http::{headers::console_csp, refusals::Refused},
};

type Html = Pin<Box<dyn Stream<Item = String> + Send>>;

/// Makes leptos run on this server's threads. Called once, before the first page.
pub(super) fn start() {
    // This fails for a second router in one process (in tests), which can use the first executor.
    let _ = Executor::init_custom_executor(Tasks);
}

/// The executor of tasks that read the data of a page. They count for the caller who requested the
/// page.
struct Tasks;

impl CustomExecutor for Tasks {
    fn spawn(&self, task: PinnedFuture<()>) {
        tokio::spawn(Holder::current().scope(task));
    }

    fn spawn_local(&self, task: PinnedLocalFuture<()>) {
        tokio::task::spawn_local(Holder::current().scope(task));
    }

    fn poll_local(&self) {}
}

/// Renders the page at the visit's path.
pub(super) async fn page(visit: &Visit) -> Response {
    let notice = cookies::notice(&visit.headers);
    let had_notice = notice.is_some();
    let contexts = {
        let contexts = contexts(visit, None);
        move || {
            contexts();
            if let Some(notice) = notice.clone() {
                provide_context(notice);
            }
        }
    };
    let _turn = match visit.turn().await {
        Ok(turn) => turn,
        Err(refusal) => return refusal,
    };
    let view = || app::shell(Document::Hydrated).into_any();
    let mut response =
        leptos_axum::handle_response_inner(contexts, view, request(visit), |view, data, _| {
            Box::pin(async move {
                let html: String = view.to_html_stream_in_order().collect().await;
                Box::pin(once(async move { html }).chain(data())) as Html
            })
        })
        .await;
    if had_notice {
        let clear = cookies::clear_notice(visit.state.cookies.is_secure());
        response.headers_mut().append(header::SET_COOKIE, clear);
    }
    mark(visit, &mut response);
    response
}

/// Renders the page at the visit's path without the scripts that hydrate it.
pub(super) async fn still_page(visit: &Visit) -> Response {
    let notice = cookies::notice(&visit.headers);
    let had_notice = notice.is_some();
    let contexts = {
        let contexts = contexts(visit, None);
        move || {
            contexts();
            if let Some(notice) = notice.clone() {
                provide_context(notice);
            }
        }
    };
    let mut response = still(visit, contexts, || app::shell(Document::Static).into_any()).await;
    if had_notice {
        let clear = cookies::clear_notice(visit.state.cookies.is_secure());
        response.headers_mut().append(header::SET_COOKIE, clear);
    }
    response
}

/// Renders the page at the visit's path as the response to a POST.
pub(super) async fn answer(visit: &Visit, posted: Posted, status: StatusCode) -> Response {
    let posted = Arc::new(posted);
    let contexts = {
        let contexts = contexts(visit, Some(status));
        move || {
            contexts();
            provide_context(Arc::clone(&posted));
        }
    };
    still(visit, contexts, || app::shell(Document::Static).into_any()).await
}

/// Responds to a POST after the session has expired, with a page that keeps the submitted fields.
pub(super) async fn kept(visit: &Visit, posted: Posted) -> Response {
    let posted = Arc::new(posted);
    let contexts = {
        let contexts = contexts(visit, Some(StatusCode::UNAUTHORIZED));
        move || {
            contexts();
            provide_context(Arc::clone(&posted));
        }
    };
    still(visit, contexts, || app::kept_shell().into_any()).await
}

/// Renders a page that shows a problem.
pub(super) async fn problem(visit: &Visit, mut problem: Problem) -> Response {
    problem.request_id = Some(visit.request.request_id.clone());
    let retry_after = problem.retry_after_s;
    let status = status_of(&problem);
    let contexts = contexts(visit, Some(status));
    let mut response = still(visit, contexts, move || app::problem_shell(problem).into_any()).await;
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Returns a problem's status.
pub(super) fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Marks a page that a service refused, for the audit log.
fn mark(visit: &Visit, response: &mut Response) {
    let refused = visit.request.refusal.code().filter(|_| response.status().is_client_error());
    if let Some(code) = refused {
        Refused::page(code).mark(response);
    }
}

/// Renders a page without the data that hydration needs.
async fn still(
    visit: &Visit,
    contexts: impl Fn() + Clone + Send + 'static,
    view: impl FnOnce() -> AnyView + Send + 'static,
) -> Response {
    let _turn = match visit.turn().await {
        Ok(turn) => turn,
        Err(refusal) => return refusal,
    };
    let mut response =
        leptos_axum::handle_response_inner(contexts, view, request(visit), |view, _, _| {
            Box::pin(async move {
                let html: String = view.to_html_stream_in_order().collect().await;
                Box::pin(once(async move { html })) as Html
            })
        })
        .await;
    mark(visit, &mut response);
    response
}

/// Returns the request that leptos sees: its address, without its body or credentials.
fn request(visit: &Visit) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = visit.uri.clone();
    request
}

/// Returns the function that provides the pages' contexts. `status` is the status of the response
/// unless the page sets another.
fn contexts(
    visit: &Visit,
    status: Option<StatusCode>,
) -> impl Fn() + Clone + Send + Sync + 'static {
    let request = visit.request.clone();
    let theme = cookies::theme(&visit.headers);
    move || {
        provide_context(request.clone());
        provide_context(theme);
        provide_context(assets::manifest().unwrap_or_default());
        let options = expect_context::<ResponseOptions>();
        if let Some(status) = status {
            options.set_status(status);
        }
        let nonce = use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
        if let Ok(policy) = HeaderValue::try_from(console_csp(&nonce)) {
            options.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
        options.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        options.insert_header(header::VARY, HeaderValue::from_static("accept, cookie"));
    }
}
