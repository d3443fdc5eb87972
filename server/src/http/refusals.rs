//! Has refusals left in the audit log: who was refused what, and where from.
//!
//! The layer is on the managing API, the surfaces, the console and `/oauth2/revoke`; what verifies is
//! asked too often. Who asks is found out by the handlers' extractors, which leave it in [`Asker`].

use std::sync::{Arc, Mutex};

use authority::{Actor, OpContext, Refusal, RefusalKind, Surface};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use domain::{names::Slug, problem::ProblemCode};
use http::{Extensions, Uri};
use serde_json::json;
use uuid::Uuid;

use super::{AppState, caller::anonymous, problem::ApiError};

/// Who asks, as far as it is known.
#[derive(Clone, Default)]
pub(crate) struct Asker(Arc<Mutex<Option<OpContext>>>);

/// Put into the extensions of an answer that is a page: why the request was refused.
#[derive(Clone, Copy)]
pub(crate) struct RefusedPage(pub(crate) ProblemCode);

impl Asker {
    /// Leaves who asks for the layer, if this request passed it.
    pub(crate) fn tell(extensions: &Extensions, context: &OpContext) {
        if let Some(asker) = extensions.get::<Self>()
            && let Ok(mut asker) = asker.0.lock()
        {
            *asker = Some(context.clone());
        }
    }
}

/// Records what was refused on a surface.
pub(crate) async fn record(
    State((state, surface)): State<(AppState, Surface)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let asker = Asker::default();
    parts.extensions.insert(asker.clone());
    let is_safe = parts.method.is_safe();
    if !is_safe {
        // What a layer refuses has no handler that would say who asked.
        anonymous(&mut parts, &state, surface).await;
    }
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let route = parts.extensions.get::<MatchedPath>().cloned();
    let response = next.run(Request::from_parts(parts, body)).await;
    let Some((code, by_service)) = refusal(&response) else { return response };
    let context = asker.0.lock().ok().and_then(|mut asker| asker.take());
    let (Some(context), Some(route)) = (context, route) else { return response };
    let kind = match code {
        ProblemCode::Forbidden
        | ProblemCode::PasswordChangeRequired
        | ProblemCode::InsufficientScope
        | ProblemCode::CrossOrigin => RefusalKind::Access,
        // What may not be seen is not found; what is not there looks alike.
        ProblemCode::NotFound
            if by_service && !is_safe && !matches!(context.actor, Actor::Anonymous) =>
        {
            RefusalKind::Access
        }
        ProblemCode::InvalidToken => RefusalKind::Credential,
        ProblemCode::RateLimited => RefusalKind::Throttled,
        _ => return response,
    };
    let mut detail = json!({"status": response.status().as_u16(), "code": code.as_str()});
    if let Some(workspace) = workspace(route.as_str(), &uri) {
        detail["workspace"] = workspace.to_string().into();
    }
    let refusal = Refusal {
        kind,
        // The template, never the path: a path may hold a secret.
        subject: format!("{method} {}", route.as_str()),
        subject_id: uri.path().split('/').find_map(|part| Uuid::try_parse(part).ok()),
        detail,
    };
    state.authority.note_refusal(&context, refusal);
    response
}

/// The code of an answer that refuses, and whether a service refused.
fn refusal(response: &Response) -> Option<(ProblemCode, bool)> {
    let extensions = response.extensions();
    let page = extensions.get::<RefusedPage>().map(|page| (page.0, true));
    page.or_else(|| extensions.get::<ApiError>().map(|error| (error.code(), error.by_service())))
}

/// The workspace that the path names.
fn workspace(route: &str, uri: &Uri) -> Option<Slug> {
    let mut pairs = route.split('/').zip(uri.path().split('/'));
    let (_, named) =
        pairs.find(|(name, _)| matches!(*name, "{ws}" | "{workspace}" | "{account}"))?;
    named.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_is_named_only_where_the_route_has_one() {
        let named = |route: &str, path: &str| {
            workspace(route, &path.parse().unwrap()).map(|slug| slug.to_string())
        };
        assert_eq!(
            named("/api/v1/workspaces/{ws}/tokens", "/api/v1/workspaces/a/tokens").unwrap(),
            "a"
        );
        assert_eq!(named("/setup/{secret}", "/setup/abc"), None);
        assert_eq!(named("/api/v1/workspaces/{ws}", "/api/v1/workspaces/%00"), None);
    }
}
