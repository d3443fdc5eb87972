//! Requests that may be repeated: the first one is carried out, and repetitions get its response.
//!
//! The caller names an attempt by a key of its own. A caller who may not do what the request asks
//! for cannot claim a key, and a caller who holds [`KEYS_MAX`] keys cannot claim another one. The
//! claim is a row of its own, committed before the operation begins. The response is stored after
//! the operation, sealed because it may hold a secret. Key and request are stored as MACs.
//!
//! A server that dies in between leaves a claim without a response. After [`TAKE_OVER`] the next
//! attempt takes it over. Whether the operation was carried out is unknown then.
//! [`Attempt::operation`] is the same for both attempts, so an operation that stores it (as a
//! token's `creation_key`) is not carried out twice.
//!
//! A response that holds a token's secret shows that secret again: see `repeat`.

mod repeat;

use domain::{access::Permission, ids::TokenId, names::Slug};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    OpContext, ServiceError, Verification,
    access::{self, Access},
    kernel::{Actor, limits::KEYS_MAX},
    keys::{Keys, Sealed, Unsealable},
    state::Inner,
    store::{
        idempotency::{self as store, Found},
        secrets_change,
    },
};

/// How long a response is kept.
pub(crate) const KEPT: Duration = Duration::hours(24);
/// How long an attempt may be in progress.
const TAKE_OVER: Duration = Duration::minutes(1);
/// How long the secret that a rotation replaced can retrieve the response of that rotation, and how
/// long a response shows a secret again if the policy shows secrets only once.
const LOST_REPLY: Duration = Duration::minutes(10);
/// Longest key, in bytes.
const KEY_MAX: usize = 255;

/// Requests that may be repeated.
#[derive(Clone, Copy)]
pub struct Idempotency<'a> {
    pub(crate) inner: &'a Inner,
}

/// The operation of a request. The caller must have the right to do it before anything is written.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// To create tokens in this workspace.
    NewTokens(&'a Slug),
    /// To import tokens into this workspace.
    Import(&'a Slug),
    /// To change this token.
    Token(TokenId),
    /// To change the calling token.
    Own,
}

/// The result of claiming a key.
#[derive(Debug)]
pub enum Claim {
    /// This attempt is the first: carry it out, then [`Idempotency::keep`] its response or
    /// [`Idempotency::release`] the key.
    First(Attempt),
    /// The request was carried out before; this is its response.
    Repeated(KeptReply),
}

/// A claim on a key.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    key: [u8; 32],
    claimed_at: OffsetDateTime,
    operation: Uuid,
}

/// A stored response.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptReply {
    /// The status.
    pub status: u16,
    /// Names and values of the headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The token whose secret the body holds.
    pub secret_of: Option<TokenId>,
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
    /// Servers of version 0.1 don't write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_of: Option<TokenId>,
}

impl Attempt {
    /// Returns the id of the operation. It stays the same when another attempt takes over.
    pub fn operation(&self) -> Uuid {
        self.operation
    }
}

impl Idempotency<'_> {
    /// Claims a key for a request of this caller.
    ///
    /// # Errors
    ///
    /// Those of authorisation, by the request's purpose; `Invalid` for a key that is not 1 to 255
    /// visible ASCII characters; `IdempotencyInFlight` while the first attempt is in progress;
    /// `IdempotencyMismatch` if the key belongs to another request; `TooManyKeys`. For a response
    /// that holds a secret: `RevealNotAllowed` if the policy shows secrets only once and ten
    /// minutes have passed, and the errors of revealing that secret.
    #[tracing::instrument(skip_all, fields(
        noun = "idempotency", verb = "claim",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn claim(
        &self,
        ctx: &OpContext,
        purpose: Purpose<'_>,
        key: &str,
        request: (&str, &str, &[u8]),
    ) -> Result<Claim, ServiceError> {
        let mut connection = self.inner.connection().await?;
        authorise(&mut connection, ctx, purpose).await?;
        check_form(key)?;
        let (kind, id) = caller(&ctx.actor);
        let keys = &self.inner.keys;
        let key = self.blind_key(&ctx.actor, key);
        let request = self.blind_request(request);
        let secret = match (purpose, &ctx.actor) {
            (Purpose::Own, Actor::Token(facts)) => Some(facts.secret.id),
            _ => None,
        };
        let claim = store::Claim {
            key: &key,
            request: &request,
            now: ctx.now,
            expires_at: ctx.now + KEPT,
            stale: ctx.now - TAKE_OVER,
            caller: &keys.blind("idempotency caller", &[kind, id.as_bytes()]),
            secret,
            most: KEYS_MAX,
        };
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
            Some(Found { reply: Some((status, sealed)), created_at, .. }) => {
                // Released, because the repetition takes a connection for itself.
                drop(connection);
                let reply = open(keys, &key, status, &sealed)?;
                self.may_repeat(ctx, purpose, &reply, created_at).await?;
                Ok(Claim::Repeated(reply))
            }
            Some(Found { reply: None, .. }) => Err(ServiceError::IdempotencyInFlight),
            None => {
                let caller = claim.caller;
                match store::first_end(&mut connection, caller, ctx.now, KEYS_MAX).await? {
                    Some(end) => {
                        let wait = (end - ctx.now).whole_seconds().unsigned_abs();
                        Err(ServiceError::TooManyKeys(wait + 1))
                    }
                    // It was released a moment ago: the next attempt can claim it.
                    None => Err(ServiceError::IdempotencyInFlight),
                }
            }
        }
    }

    /// Returns the response of a rotation that a token requested for itself, for the replaced
    /// secret that requested it. The caller lost the response and has no other secret. Presenting
    /// the secret for this purpose is not a reuse. Returns `None` for every other secret, key and
    /// request, after ten minutes, and once a newer secret of the token was used: the response has
    /// arrived then, and another party may have recorded the request.
    ///
    /// # Errors
    ///
    /// `IdempotencyInFlight` while the rotation is in progress.
    #[tracing::instrument(skip_all, fields(
        noun = "idempotency", verb = "lost_rotation",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn lost_rotation(
        &self,
        ctx: &OpContext,
        presented: &str,
        key: &str,
        request: (&str, &str, &[u8]),
    ) -> Result<Option<(Actor, KeptReply)>, ServiceError> {
        if check_form(key).is_err() {
            return Ok(None);
        }
        let verification = Verification { inner: self.inner };
        let Some(known) = verification.replaced(ctx, presented).await? else { return Ok(None) };
        let (token, secret) = (known.token_id, known.secret.id);
        let actor = Actor::Token(known);
        let key = self.blind_key(&actor, key);
        let mut connection = self.inner.connection().await?;
        let found = store::find(&mut connection, &key).await?.filter(|found| {
            found.request == self.blind_request(request)
                && found.secret == Some(secret)
                && found.created_at + LOST_REPLY > ctx.now
        });
        let Some(found) = found else { return Ok(None) };
        if secrets_change::newer_was_used(&mut connection, token, secret).await? {
            return Ok(None);
        }
        let Some((status, sealed)) = found.reply else {
            return Err(ServiceError::IdempotencyInFlight);
        };
        drop(connection);
        let reply = open(&self.inner.keys, &key, status, &sealed)?;
        let ctx = OpContext { actor: actor.clone(), ..ctx.clone() };
        if self.note_lost_rotation(&ctx, &reply, secret).await? {
            Ok(Some((actor, reply)))
        } else {
            Ok(None)
        }
    }

    fn blind_key(self, actor: &Actor, key: &str) -> [u8; 32] {
        let (kind, id) = caller(actor);
        self.inner.keys.blind("idempotency key", &[kind, id.as_bytes(), key.as_bytes()])
    }

    fn blind_request(self, (method, path, body): (&str, &str, &[u8])) -> [u8; 32] {
        let parts = [method.as_bytes(), path.as_bytes(), body];
        self.inner.keys.blind("idempotency request", &parts)
    }

    /// Stores the response for repetitions of the request. An attempt that was taken over meanwhile
    /// stores nothing.
    #[tracing::instrument(skip_all, fields(noun = "idempotency", verb = "keep"))]
    pub async fn keep(&self, attempt: &Attempt, reply: &KeptReply) -> Result<(), ServiceError> {
        let envelope = Envelope {
            headers: reply.headers.clone(),
            body: reply.body.clone(),
            secret_of: reply.secret_of,
        };
        let text = Zeroizing::new(serde_json::to_vec(&envelope).map_err(ServiceError::internal)?);
        let (keys, entropy) = (&self.inner.keys, self.inner.entropy.as_ref());
        let sealed = keys.seal(entropy, &binding(&attempt.key), &text).map_err(unusable)?;
        let status = i16::try_from(reply.status).map_err(ServiceError::internal)?;
        let mut connection = self.inner.connection().await?;
        store::keep(&mut connection, &attempt.key, attempt.claimed_at, status, &sealed).await?;
        Ok(())
    }

    /// Releases the key of an attempt whose outcome is not to be repeated, so that the next attempt
    /// may begin at once.
    #[tracing::instrument(skip_all, fields(noun = "idempotency", verb = "release"))]
    pub async fn release(&self, attempt: &Attempt) -> Result<(), ServiceError> {
        let mut connection = self.inner.connection().await?;
        let stale = attempt.claimed_at - TAKE_OVER;
        store::release(&mut connection, &attempt.key, attempt.claimed_at, stale).await?;
        Ok(())
    }
}

/// Refuses callers who may not do what the request asks for.
async fn authorise(
    connection: &mut PgConnection,
    ctx: &OpContext,
    purpose: Purpose<'_>,
) -> Result<Access, ServiceError> {
    let permission = Permission::TokensWrite;
    match purpose {
        Purpose::NewTokens(workspace) => {
            access::authorise_tokens(connection, ctx, workspace, permission).await
        }
        Purpose::Import(workspace) => {
            access::authorise(connection, ctx, workspace, permission).await
        }
        Purpose::Token(token) => access::authorise_token(connection, ctx, token, permission).await,
        Purpose::Own => Ok(access::authorise_self(connection, ctx).await?.0),
    }
}

fn check_form(key: &str) -> Result<(), ServiceError> {
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("must be 1 to {KEY_MAX} visible ASCII characters");
        return Err(ServiceError::invalid("Idempotency-Key", message));
    }
    Ok(())
}

fn caller(actor: &Actor) -> (&'static [u8], Uuid) {
    match actor {
        Actor::User(visitor) | Actor::Restricted(visitor) => (b"user", visitor.user.id.0),
        Actor::Token(facts) => (b"token", facts.token_id.0),
        Actor::Operator | Actor::Anonymous => (b"operator", Uuid::nil()),
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
    let Envelope { headers, body, secret_of } = envelope;
    Ok(KeptReply { status, headers, body, secret_of })
}

fn unusable(error: Unsealable) -> ServiceError {
    ServiceError::internal(error)
}

fn binding(key: &[u8; 32]) -> [&[u8]; 2] {
    [b"idempotency", key]
}
