//! Records refusals in the audit log: the caller, the request, and the address.
//!
//! The layer is on the management API, the surfaces, the console and `/oauth2/revoke`. The
//! handlers' extractors determine the caller and leave it in [`Asker`].
//!
//! The routes that verify have a smaller layer, [`record_own`]: it records callers that may not
//! verify or are not accepted. Verifying an invalid token is not a refusal but a normal response,
//! and leaves no row. Responses from memory (`remembered`) pass through no layer.

use std::sync::{Arc, Mutex};

use authority::{Actor, OpContext, Refusal, RefusalKind, Surface};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use domain::{names::Slug, problem::ProblemCode};
use http::{Extensions, Uri};
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::anonymous;
use crate::{problem::ApiError, state::AppState};

/// The caller, as far as it is known.
#[derive(Clone, Default)]
pub(crate) struct Asker(Arc<Mutex<Option<OpContext>>>);

/// The reason why a service refused, in the extensions of a response that is not an [`ApiError`].
#[derive(Clone)]
pub(crate) struct Refused {
    code: ProblemCode,
    /// The server function that was called. Server functions only read, although they are posts.
    function: Option<String>,
    /// The refused records, if the request named many.
    items: Vec<Uuid>,
}

/// Maximum number of records that a row about many of them names.
const NAMED_MAX: usize = 10;

impl Refused {
    /// Returns the mark of a refused page or form.
    pub(crate) const fn page(code: ProblemCode) -> Self {
        Self { code, function: None, items: Vec::new() }
    }

    /// Returns the mark of a refused call of the server function at this path.
    pub(crate) fn function(code: ProblemCode, path: &str) -> Self {
        Self { code, function: Some(path.to_owned()), items: Vec::new() }
    }

    /// Returns the mark of a request on many records, each with the code of its error; `None` if
    /// none was refused. It counts as one refusal, however many records there are: that of the
    /// first one that the caller may see, or else of the first one.
    pub(crate) fn of_many(errors: impl IntoIterator<Item = (Uuid, ProblemCode)>) -> Option<Self> {
        let refused = errors.into_iter().filter(|(_, code)| kind_of(*code, true).is_some());
        let refused: Vec<_> = refused.collect();
        let seen = refused.iter().find(|(_, code)| *code != ProblemCode::NotFound);
        let (_, code) = *seen.or(refused.first())?;
        let items = refused.into_iter().map(|(id, _)| id).collect();
        Some(Self { code, function: None, items })
    }

    /// Marks a response.
    pub(crate) fn mark(self, response: &mut Response) {
        response.extensions_mut().insert(self);
    }
}

impl Asker {
    /// Passes the caller on to the layer, if this request goes through it.
    pub(crate) fn tell(extensions: &Extensions, context: &OpContext) {
        if let Some(asker) = extensions.get::<Self>()
            && let Ok(mut asker) = asker.0.lock()
        {
            *asker = Some(context.clone());
        }
    }
}

/// Records refusals on a surface.
pub(crate) async fn record(
    State((state, surface)): State<(AppState, Surface)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let asker = Asker::default();
    parts.extensions.insert(asker.clone());
    // Determine an anonymous caller first: a request that a layer refuses has no handler to do so.
    anonymous(&mut parts, &state, surface).await;
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let route = parts.extensions.get::<MatchedPath>().cloned();
    let response = next.run(Request::from_parts(parts, body)).await;
    let Some(Found { code, kind, function, items }) = found(&response) else { return response };
    let context = asker.0.lock().ok().and_then(|mut asker| asker.take());
    let (Some(context), Some(route)) = (context, route) else { return response };
    let is_read = method.is_safe() || function.is_some();
    let kind = match kind {
        Kind::Is(kind) => kind,
        // A record that the caller may not see looks like one that does not exist.
        Kind::Hidden if !is_read && !matches!(context.actor, Actor::Anonymous) => {
            RefusalKind::Access
        }
        Kind::Hidden => return response,
    };
    let mut detail = detail(&response, code);
    if !items.is_empty() {
        detail["refused"] = items.len().into();
        detail["ids"] = json!(items.get(..NAMED_MAX).unwrap_or(&items));
    }
    if let Some(workspace) = workspace(route.as_str(), &uri) {
        detail["workspace"] = workspace.to_string().into();
    }
    // Record the template, never the path, which may contain a secret. A function's path is
    // a template.
    let at = function.as_deref().unwrap_or(route.as_str());
    let refusal = Refusal {
        kind,
        subject: format!("{method} {at}"),
        subject_id: uri.path().split('/').find_map(|part| Uuid::try_parse(part).ok()),
        detail,
    };
    state.authority.note_refusal(&context, refusal);
    response
}

/// Records that the caller of a verifying route is not accepted or may not verify.
pub(crate) async fn record_own(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let Some(Found { code, kind: Kind::Is(kind), .. }) = found(&response) else { return response };
    // A service that exceeds its limit would be recorded on every call.
    if kind == RefusalKind::Throttled {
        return response;
    }
    let context = asker.0.lock().ok().and_then(|mut asker| asker.take());
    if let (Some(context), Some(route)) = (context, route) {
        let subject = format!("{method} {}", route.as_str());
        let detail = detail(&response, code);
        state.authority.note_refusal(&context, Refusal { kind, subject, subject_id: None, detail });
    }
    response
}

/// Returns the details of a refusal for its row. A response with a success status may contain a
/// refusal too.
fn detail(response: &Response, code: ProblemCode) -> Value {
    let status = response.status();
    let status = if status.is_success() { code.status() } else { status.as_u16() };
    json!({"status": status, "code": code.as_str()})
}

/// A refusal that was found in a response.
struct Found {
    code: ProblemCode,
    kind: Kind,
    function: Option<String>,
    items: Vec<Uuid>,
}

enum Kind {
    Is(RefusalKind),
    /// Reported as not found by a service, which may hide the record.
    Hidden,
}

/// Returns the refusal of a service or a layer in this response, if any.
fn found(response: &Response) -> Option<Found> {
    let extensions = response.extensions();
    let error = extensions.get::<ApiError>();
    let (code, by_service, refused) = match (extensions.get::<Refused>(), error) {
        (Some(refused), _) => (refused.code, true, Some(refused)),
        (None, error) => {
            let error = error?;
            (error.code(), error.by_service(), None)
        }
    };
    let kind = if error.is_some_and(ApiError::is_of_host) {
        Kind::Is(RefusalKind::Access)
    } else {
        kind_of(code, by_service)?
    };
    let function = refused.and_then(|refused| refused.function.clone());
    let items = refused.map(|refused| refused.items.clone()).unwrap_or_default();
    Some(Found { code, kind, function, items })
}

/// Returns the kind of refusal for an error with this code from a service or a layer.
const fn kind_of(code: ProblemCode, by_service: bool) -> Option<Kind> {
    match code {
        ProblemCode::Forbidden
        | ProblemCode::PasswordChangeRequired
        | ProblemCode::InsufficientScope
        | ProblemCode::CrossOrigin => Some(Kind::Is(RefusalKind::Access)),
        ProblemCode::NotFound if by_service => Some(Kind::Hidden),
        ProblemCode::InvalidToken => Some(Kind::Is(RefusalKind::Credential)),
        ProblemCode::RateLimited => Some(Kind::Is(RefusalKind::Throttled)),
        _ => None,
    }
}

/// Returns the workspace that the path names.
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
    fn workspace_is_read_only_from_its_route_parameter() {
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
