//! The holder of a request: an authenticated caller has its share of the database
//! ([`authority::Holder`]) and of the memory for unread responses ([`Answers`]).

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use authority::{About, Actor, Holder};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::Extensions;
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    limits::{
        network,
        unread::{Answers, For},
    },
    problem::ApiError,
    request::client_ip::{client_ip, peer},
    state::AppState,
};

/// A request whose holder becomes known while it is handled.
#[derive(Clone)]
struct Held {
    holder: Holder,
    kind: Kind,
    answers: Answers,
    of: Arc<OnceLock<For>>,
}

/// The kind of a request.
#[derive(Clone, Copy)]
enum Kind {
    /// A verification, which changes nothing whatever its method is.
    Question,
    /// A change.
    Change,
    /// Anything else.
    Other,
}

impl Held {
    fn new(answers: Answers, holder: Holder, kind: Kind) -> Self {
        Self { holder, kind, answers, of: Arc::default() }
    }

    async fn answer(self, mut request: Request, next: Next) -> Response {
        request.extensions_mut().insert(self.clone());
        let response = self.holder.clone().scope(next.run(request)).await;
        match self.of.get() {
            Some(of) => self.answers.keep(of, response),
            None => response,
        }
    }
}

/// Handles a request for its holder. Until the holder is known, the request counts for its address.
pub(crate) async fn hold(
    State(AppState { answers, trusted_proxies, .. }): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let kind = if request.method().is_safe() { Kind::Other } else { Kind::Change };
    let address = client_ip(peer(request.extensions()), request.headers(), &trusted_proxies);
    let holder = Holder::at(address.map(network));
    holder.concerns(about(request.uri().path()));
    Held::new(answers, holder, kind).answer(request, next).await
}

/// Returns the subject of a path of the API, the console or another product's API, decoded as
/// routes decode it: a name may be percent-encoded.
fn about(path: &str) -> About {
    let after = |names: &[&str]| -> Option<Cow<'_, str>> {
        let segment = path.split('/').skip_while(|segment| !names.contains(segment)).nth(1)?;
        form_urlencoded::parse(segment.as_bytes()).next().map(|(name, _)| name)
    };
    let workspace = after(&["workspaces"]).and_then(|name| name.parse().ok());
    let token = || after(&["tokens", "api_tokens"]).and_then(|id| id.parse().ok());
    workspace
        .map(About::Workspace)
        .or_else(|| token().map(|id: Uuid| About::Token(id.into())))
        .unwrap_or_default()
}

/// Handles a verification.
pub(crate) async fn hold_question(
    State(AppState { answers, trusted_proxies, .. }): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let address = client_ip(peer(request.extensions()), request.headers(), &trusted_proxies);
    Held::new(answers, Holder::at(address.map(network)), Kind::Question).answer(request, next).await
}

/// Records the holder and the caller of this request. Refuses a change while too many responses to
/// changes are unread.
pub(super) fn identify(
    extensions: &Extensions,
    actor: &Actor,
    id: Uuid,
    caller: Uuid,
) -> Result<(), ApiError> {
    let Some(held) = extensions.get::<Held>() else { return Ok(()) };
    held.holder.identify(actor);
    if held.of.get().is_none() {
        let of = match held.kind {
            Kind::Question => For::Question(id),
            Kind::Change => held.answers.change(id, caller)?,
            Kind::Other => For::Holder(id),
        };
        let _ = held.of.set(of);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    #[test]
    fn change_counts_once_its_caller_is_identified() {
        let answers = Answers::default();
        let ask = |kind| {
            let mut extensions = Extensions::new();
            extensions.insert(Held::new(answers.clone(), Holder::default(), kind));
            identify(&extensions, &Actor::Operator, ONE, ONE).map(|()| extensions)
        };
        let changes: Vec<_> = std::iter::from_fn(|| ask(Kind::Change).ok()).take(5_000).collect();
        assert_eq!(changes.len(), 256);
        assert_eq!(ask(Kind::Change).unwrap_err().problem().status, 429);
        for kind in [Kind::Question, Kind::Other] {
            ask(kind).unwrap();
        }
        drop(changes);
        ask(Kind::Change).unwrap();
    }

    #[test]
    fn path_yields_the_workspace_or_token_of_its_route() {
        const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
        let workspace = || About::Workspace("workspace".parse().unwrap());
        let token = || About::Token(ID.parse::<Uuid>().unwrap().into());
        for (path, found) in [
            ("/api/v1/workspaces/workspace/tokens".to_owned(), workspace()),
            ("/api/v1/workspaces/%77orkspace/tokens".to_owned(), workspace()),
            ("/workspaces/workspace".to_owned(), workspace()),
            (format!("/workspaces/workspace/tokens/{ID}"), workspace()),
            ("/api/v1/workspaces".to_owned(), About::Unknown),
            ("/api/v1/workspaces/".to_owned(), About::Unknown),
            ("/api/v1/tokens/x".to_owned(), About::Unknown),
            (format!("/api/v1/tokens/{ID}/rotate"), token()),
            (format!("/api/v1/api_tokens/{ID}"), token()),
        ] {
            assert_eq!(about(&path), found, "{path}");
        }
    }
}
