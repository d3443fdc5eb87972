//! Limits how often one caller may call the management part of the API, and how often they may post
//! forms and call server functions at the console, which share one budget.
//!
//! Every response reports the remaining calls: `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10). Calls beyond the limit get 429 with `Retry-After`. A
//! caller is a user or a token, whatever address it calls from; anonymous callers are refused
//! anyway. The routes that services call on every request of their own, `/api/v1/verify` and
//! `/auth/forward`, do not count.
//!
//! Each server counts for itself: three servers let three times as many calls through. A token's
//! own limit is separate: the authority counts it, and this module only writes its headers.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use authority::{Actor, RateState};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use domain::problem::{Problem, ProblemCode};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::problem::ApiError;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const WINDOW_S: u32 = 60;
/// The number of calls after which inactive callers are removed.
const FORGET_EVERY: u32 = 4_096;

type Keyed =
    RateLimiter<Uuid, DefaultKeyedStateStore<Uuid>, DefaultClock, StateInformationMiddleware>;

/// The limit of calls per caller.
#[derive(Clone)]
pub(crate) struct RateLimit(Option<Arc<Inner>>);

struct Inner {
    per_minute: NonZeroU32,
    callers: Keyed,
    calls: AtomicU32,
}

/// The remaining calls of a counted request's caller. The layer puts it into the request.
#[derive(Clone, Debug, Default)]
struct Meter(Arc<OnceLock<(u32, u32)>>);

impl RateLimit {
    /// Returns a limit of `calls` per minute, which may all come at once; 0 means no limit.
    pub(crate) fn per_minute(calls: u32) -> Self {
        Self(NonZeroU32::new(calls).map(|per_minute| {
            let quota = Quota::per_minute(per_minute);
            let callers = RateLimiter::keyed(quota).with_middleware();
            Arc::new(Inner { per_minute, callers, calls: AtomicU32::new(0) })
        }))
    }

    /// Counts a call, if this request counts.
    pub(crate) fn count(&self, extensions: &Extensions, actor: &Actor) -> Result<(), ApiError> {
        let (Some(inner), Some(meter)) = (&self.0, extensions.get::<Meter>()) else {
            return Ok(());
        };
        let caller = match actor {
            Actor::User(visitor) | Actor::Restricted(visitor) => visitor.user.id.0,
            Actor::Token(facts) => facts.token_id.0,
            Actor::Operator | Actor::Anonymous => return Ok(()),
        };
        if inner.calls.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            inner.callers.retain_recent();
        }
        match inner.callers.check_key(&caller) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let full_in = u64::from(inner.per_minute.get() - left) * u64::from(WINDOW_S);
                let full_in = full_in.div_ceil(u64::from(inner.per_minute.get()));
                let _ = meter.0.set((left, u32::try_from(full_in).unwrap_or(WINDOW_S)));
                Ok(())
            }
            Err(refusal) => {
                let wait = refusal.wait_time_from(DefaultClock::default().now());
                let seconds = wait.as_secs() + 1;
                let _ = meter.0.set((0, u32::try_from(seconds).unwrap_or(WINDOW_S)));
                let mut problem = Problem::new(
                    ProblemCode::RateLimited,
                    format!(
                        "You have reached the limit of {} calls per minute. Nothing was changed. \
                         Try again in {seconds} s.",
                        inner.per_minute
                    ),
                );
                problem.retry_after_s = Some(seconds);
                Err(problem.into())
            }
        }
    }
}

/// Counts calls, and reports the remaining ones on every response.
pub(crate) async fn count(
    State(limit): State<RateLimit>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(inner) = limit.0 else { return next.run(request).await };
    let meter = Meter::default();
    request.extensions_mut().insert(meter.clone());
    let mut response = next.run(request).await;
    let left = meter.0.get().copied();
    tell(response.headers_mut(), "caller", (inner.per_minute.get(), WINDOW_S), left);
    response
}

/// Counts posts to the console, both forms and server functions. Pages do not count.
pub(crate) async fn count_posts(limit: State<RateLimit>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        next.run(request).await
    } else {
        count(limit, request, next).await
    }
}

/// Writes the headers of the limit with this name: its size, and the remaining calls with the
/// seconds until they reset.
fn tell(
    headers: &mut HeaderMap,
    name: &str,
    (limit, window_s): (u32, u32),
    left: Option<(u32, u32)>,
) {
    let mut set = |header: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(header, value);
        }
    };
    set(RATE_LIMIT_POLICY, format!("\"{name}\";q={limit};w={window_s}"));
    if let Some((left, seconds)) = left {
        set(RATE_LIMIT, format!("\"{name}\";r={left};t={seconds}"));
    }
}

/// Writes the headers of a token's own limit.
pub(crate) fn tell_token(headers: &mut HeaderMap, rate: &RateState) {
    let seconds = if rate.allowed { rate.reset_s } else { rate.retry_after_s };
    tell(headers, "token", (rate.limit, rate.window_s), Some((rate.remaining, seconds)));
}

#[cfg(test)]
mod tests {
    use domain::{roles::InstanceRole, session::Visitor, token::UserSummary};

    use super::*;

    fn caller(number: u128) -> Actor {
        let user = UserSummary {
            id: Uuid::from_u128(number).into(),
            email: "a@x".into(),
            name: "A".into(),
        };
        Actor::User(Visitor { user, instance_role: InstanceRole::Member })
    }

    fn counted() -> (Extensions, Meter) {
        let meter = Meter::default();
        let mut extensions = Extensions::new();
        extensions.insert(meter.clone());
        (extensions, meter)
    }

    #[test]
    fn limit_applies_to_each_caller_separately() {
        let limit = RateLimit::per_minute(3);
        for left in [2, 1, 0] {
            let (request, meter) = counted();
            limit.count(&request, &caller(1)).unwrap();
            assert_eq!(meter.0.get().unwrap().0, left);
        }
        let (request, meter) = counted();
        let refused = limit.count(&request, &caller(1)).unwrap_err();
        assert_eq!(refused.problem().code, ProblemCode::RateLimited);
        let wait = refused.problem().retry_after_s.unwrap();
        assert!((1..=21).contains(&wait), "{wait}");
        assert_eq!(meter.0.get().unwrap().0, 0);
        limit.count(&counted().0, &caller(2)).unwrap();
    }

    #[test]
    fn requests_without_a_limit_or_meter_are_not_counted() {
        for _ in 0..10 {
            RateLimit::per_minute(0).count(&counted().0, &caller(1)).unwrap();
            RateLimit::per_minute(1).count(&Extensions::new(), &caller(1)).unwrap();
        }
    }
}
