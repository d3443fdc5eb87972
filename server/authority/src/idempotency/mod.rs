//! Requests that may be repeated: the first one is carried out, the others get its reply.
//!
//! A caller names an attempt by a key of their own. The claim on it is a row of its own, committed
//! before the operation begins; the reply is stored after the operation's end, sealed, for it may hold
//! a secret. Key and request are stored as MACs.
//!
//! A server that dies in between leaves a claim without a reply. After [`TAKE_OVER`] the next attempt
//! takes it over. Whether the operation was carried out is unknown then; [`Attempt::operation`] is the
//! same for both, so that an operation that keeps it (a token's `creation_key`) is not carried out
//! twice.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    OpContext, ServiceError,
    authority::Inner,
    context::Actor,
    keys::{Keys, Sealed, Unsealable},
    store::idempotency::{self as store, Found},
};

/// How long a reply is kept.
pub(crate) const KEPT: Duration = Duration::hours(24);
/// How long an attempt may be in progress.
const TAKE_OVER: Duration = Duration::minutes(1);
/// Longest key, in bytes.
const KEY_MAX: usize = 255;

/// Requests that may be repeated.
#[derive(Clone, Copy)]
pub struct Idempotency<'a> {
    pub(crate) inner: &'a Inner,
}

/// What an attempt may do.
#[derive(Debug)]
pub enum Claim {
    /// It is the first: carry it out, then [`Idempotency::keep`] its reply or
    /// [`Idempotency::release`] it.
    First(Attempt),
    /// It was carried out before: this was the reply.
    Repeated(KeptReply),
}

/// A claim on a key.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    key: [u8; 32],
    claimed_at: OffsetDateTime,
    operation: Uuid,
}

/// A reply as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptReply {
    /// The status.
    pub status: u16,
    /// Names and values of the headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for KeptReply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeptReply").field("status", &self.status).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Attempt {
    /// Names what this attempt carries out: the same for whoever takes it over.
    pub fn operation(&self) -> Uuid {
        self.operation
    }
}

impl Idempotency<'_> {
    /// Claims a key for a request of this caller.
    ///
    /// # Errors
    /// `Unauthenticated`; `Invalid` for a key that is not 1 to 255 visible characters of ASCII;
    /// `IdempotencyInFlight` while the first attempt goes on; `IdempotencyMismatch` when it was for
    /// another request.
    pub async fn claim(
        &self,
        ctx: &OpContext,
        key: &str,
        request: (&str, &str, &[u8]),
    ) -> Result<Claim, ServiceError> {
        ctx.authenticated()?;
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let message = format!("must be 1 to {KEY_MAX} visible characters of ASCII");
            return Err(ServiceError::invalid("Idempotency-Key", message));
        }
        let (kind, caller): (&[u8], _) = match &ctx.actor {
            Actor::User(visitor) => (b"user", visitor.user.id.0),
            Actor::Token(facts) => (b"token", facts.token_id.0),
            Actor::Operator | Actor::Anonymous => (b"operator", Uuid::nil()),
        };
        let keys = &self.inner.keys;
        let key = keys.blind("idempotency key", &[kind, caller.as_bytes(), key.as_bytes()]);
        let (method, path, body) = request;
        let request =
            keys.blind("idempotency request", &[method.as_bytes(), path.as_bytes(), body]);
        let claim = store::Claim {
            key: &key,
            request: &request,
            now: ctx.now,
            expires_at: ctx.now + KEPT,
            stale: ctx.now - TAKE_OVER,
        };
        let mut connection = self.inner.connection().await?;
        if let Some(expires_at) = store::claim(&mut connection, &claim).await? {
            let moment = expires_at.unix_timestamp_nanos().to_be_bytes();
            let name = keys.blind("idempotent operation", &[&key, &moment]);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&name[..16]);
            let operation = uuid::Builder::from_custom_bytes(bytes).into_uuid();
            return Ok(Claim::First(Attempt { key, claimed_at: ctx.now, operation }));
        }
        match store::find(&mut connection, &key).await? {
            Some(Found { request: first, .. }) if first != request => {
                Err(ServiceError::IdempotencyMismatch)
            }
            Some(Found { reply: Some((status, sealed)), .. }) => {
                Ok(Claim::Repeated(open(keys, &key, status, &sealed)?))
            }
            // Or it was given up a moment ago: the next attempt will find out.
            Some(Found { reply: None, .. }) | None => Err(ServiceError::IdempotencyInFlight),
        }
    }

    /// Keeps the reply for those who repeat the request. An attempt that was taken over meanwhile
    /// keeps nothing.
    pub async fn keep(&self, attempt: &Attempt, reply: &KeptReply) -> Result<(), ServiceError> {
        let envelope = Envelope { headers: reply.headers.clone(), body: reply.body.clone() };
        let text = Zeroizing::new(serde_json::to_vec(&envelope).map_err(ServiceError::internal)?);
        let (keys, entropy) = (&self.inner.keys, self.inner.entropy.as_ref());
        let sealed = keys.seal(entropy, &binding(&attempt.key), &text).map_err(unusable)?;
        let status = i16::try_from(reply.status).map_err(ServiceError::internal)?;
        let mut connection = self.inner.connection().await?;
        store::keep(&mut connection, &attempt.key, attempt.claimed_at, status, &sealed).await?;
        Ok(())
    }

    /// Gives an attempt up whose outcome is nobody's: the next one may begin at once.
    pub async fn release(&self, attempt: &Attempt) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        let stale = attempt.claimed_at - TAKE_OVER;
        store::release(&mut connection, &attempt.key, attempt.claimed_at, stale).await?;
        Ok(())
    }
}

fn open(
    keys: &Keys,
    key: &[u8; 32],
    status: i16,
    sealed: &Sealed,
) -> Result<KeptReply, ServiceError> {
    let text = keys.unseal(sealed, &binding(key)).map_err(unusable)?;
    let envelope: Envelope = serde_json::from_slice(&text).map_err(ServiceError::internal)?;
    let status = u16::try_from(status).map_err(ServiceError::internal)?;
    Ok(KeptReply { status, headers: envelope.headers, body: envelope.body })
}

fn unusable(error: Unsealable) -> ServiceError {
    ServiceError::internal(error)
}

fn binding(key: &[u8; 32]) -> [&[u8]; 2] {
    [b"idempotency", key]
}
