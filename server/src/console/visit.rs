//! A browser's request, with its session looked up.

use std::{net::IpAddr, sync::Arc};

use app::request::{ConsoleRequest, PageRefusal, RequestSession};
use authority::{Actor, OpContext, ServiceError, Surface, Turn};
use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, Uri, request::Parts};

use super::render;
use crate::{
    http::{
        again::Again,
        body,
        refusals::{Asker, Refused},
    },
    limits::strangers::{self, Guest},
    problem::ApiError,
    request::{
        client_ip::{client_ip, peer, untrusted_proxy},
        id::RequestId,
    },
    state::AppState,
};

/// A request of a browser.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) state: AppState,
    /// What pages need to know: the core, the visitor, and the request's origin.
    pub(super) request: ConsoleRequest,
    /// The requested URI.
    pub(super) uri: Uri,
    /// The request's headers.
    pub(super) headers: HeaderMap,
    /// Its place among the requests of visitors without a session, if it needs one.
    guest: Option<Guest>,
    /// The untrusted proxy that forwarded the request, if any.
    pub(super) untrusted_proxy: Option<IpAddr>,
}

impl Visit {
    /// Returns the context of an operation on the visitor's behalf.
    pub(super) fn context(&self) -> OpContext {
        self.request.context()
    }

    /// Reports whether the visitor is signed in.
    pub(super) fn is_signed_in(&self) -> bool {
        self.request.session.visitor.is_some()
    }

    /// Reports whether the person must change their password before anything else.
    pub(super) fn must_change_password(&self) -> bool {
        self.request.session.must_change_password
    }

    /// Waits for a turn to render a page if the visitor is not signed in. Signed-in people need no
    /// turn, so they never wait behind unknown visitors.
    ///
    /// # Errors
    /// A response that says that too many pages were requested.
    pub(super) async fn turn(&self) -> Result<Option<Turn>, Response> {
        if self.is_signed_in() {
            return Ok(None);
        }
        match &self.guest {
            Some(guest) => guest.turn().await.map(Some).map_err(IntoResponse::into_response),
            None => Ok(None),
        }
    }

    /// Returns the `User-Agent` of the browser.
    pub(super) fn user_agent(&self) -> Option<String> {
        let value = self.headers.get(http::header::USER_AGENT)?;
        value.to_str().ok().map(str::to_owned)
    }

    /// Counts a post of a signed-in person together with their API calls.
    ///
    /// # Errors
    /// A response that says that there were too many.
    pub(super) async fn count(&self, extensions: &Extensions) -> Result<(), Response> {
        let counted = self.state.rate_limit.count(extensions, &self.context().actor);
        let Err(error) = counted else { return Ok(()) };
        if self.wants_json() {
            return Err(error.into_response());
        }
        let mut response = render::problem(self, error.problem().clone()).await;
        Refused::page(error.code()).mark(&mut response);
        Err(response)
    }

    /// Reports whether the response is for a script: the request accepts JSON and does not accept a
    /// page.
    pub(super) fn wants_json(&self) -> bool {
        wants_json(&self.headers)
    }
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let Ok(id) = RequestId::from_request_parts(parts, state).await;
        let peer = peer(&parts.extensions);
        let address = client_ip(peer, &parts.headers, &state.trusted_proxies);
        let mut visit = Self {
            state: state.clone(),
            request: ConsoleRequest {
                authority: state.authority.clone(),
                session: Arc::default(),
                request_id: id.as_str().to_owned(),
                client_ip: address,
                public_url: state.config.public_url.as_str().trim_end_matches('/').into(),
                refusal: PageRefusal::default(),
            },
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            guest: strangers::guest(&parts.extensions),
            untrusted_proxy: untrusted_proxy(peer, &parts.headers, &state.trusted_proxies),
        };
        Asker::tell(&parts.extensions, &visit.context());
        let Some(secret) = state.cookies.read(&parts.headers) else { return Ok(visit) };
        let context = state.authority.context(
            Actor::Anonymous,
            Surface::Console,
            id.as_str().to_owned(),
            address,
        );
        match state.authority.sessions().resolve(&context, &secret).await {
            Ok(session) => {
                if let Some(session) = session {
                    let mut by = context;
                    by.session = Some(session.id);
                    by.actor = session.clone().actor();
                    let again = Again::session(secret);
                    if let Err(error) = body::admit(&mut parts.extensions, state, &by, again) {
                        return Err(error.into_response());
                    }
                    visit.request.session = Arc::new(RequestSession {
                        visitor: Some(session.visitor),
                        id: Some(session.id),
                        must_change_password: session.must_change_password,
                    });
                }
                Asker::tell(&parts.extensions, &visit.context());
                Ok(visit)
            }
            // A session text that is not looked up counts as an expired session and leads to the
            // page to sign in.
            Err(ServiceError::TooManyUnknown(_)) => Ok(visit),
            Err(error) if visit.wants_json() => Err(ApiError::from(error).into_response()),
            Err(error) => {
                error.log(id.as_str());
                Err(render::problem(&visit, error.problem()).await)
            }
        }
    }
}

/// Reports whether these headers accept JSON and do not accept a page.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = |wanted: &str| {
        headers
            .get_all(http::header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(','))
            .filter_map(|range| range.split(';').next())
            .any(|media_type| media_type.trim().eq_ignore_ascii_case(wanted))
    };
    accepts("application/json") && !accepts("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_returned_unless_only_json_is_accepted() {
        for (accept, json) in [
            (&[][..], false),
            (&["*/*"][..], false),
            (&["application/json"][..], true),
            (&["Application/JSON;q=0.9, */*;q=0.1"][..], true),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"][..], false),
            (&["application/json", "text/html"][..], false),
            (&["application/problem+json"][..], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in accept {
                headers.append(http::header::ACCEPT, line.parse().unwrap());
            }
            assert_eq!(wants_json(&headers), json, "{accept:?}");
        }
    }
}
