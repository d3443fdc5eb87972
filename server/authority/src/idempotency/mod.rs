//! Requests that may be repeated: the first one is carried out, the others get its reply.
//!
//! A caller names an attempt by a key of their own. A caller who may not do what the request asks for claims
//! nothing, and one who holds [`KEYS_MAX`] keys claims no further one. The claim on it is a row of its own, committed
//! before the operation begins; the reply is stored after the operation's end, sealed, for it may hold
//! a secret. Key and request are stored as MACs.
//!
//! A server that dies in between leaves a claim without a reply. After [`TAKE_OVER`] the next attempt
//! takes it over. Whether the operation was carried out is unknown then; [`Attempt::operation`] is the
//! same for both, so that an operation that keeps it (a token's `creation_key`) is not carried out
//! twice.
//!
//! A reply that holds a token's secret shows that secret again: see `repeat`.

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
    authority::Inner,
    context::Actor,
    keys::{Keys, Sealed, Unsealable},
    store::{
        idempotency::{self as store, Found},
        secrets_change,
    },
};

/// How long a reply is kept.
pub(crate) const KEPT: Duration = Duration::hours(24);
/// How long an attempt may be in progress.
const TAKE_OVER: Duration = Duration::minutes(1);
/// Most keys that one caller holds at a time.
pub(crate) const KEYS_MAX: i64 = 10_000;
/// How long a secret that was replaced by a rotation finds the reply to it, and how long a reply shows a secret
/// again where policy shows secrets once.
const LOST_REPLY: Duration = Duration::minutes(10);
/// Longest key, in bytes.
const KEY_MAX: usize = 255;

/// Requests that may be repeated.
#[derive(Clone, Copy)]
pub struct Idempotency<'a> {
    pub(crate) inner: &'a Inner,
}

/// What a request is about. The caller must have the right to do it before anything is written.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// To make tokens in this workspace.
    NewTokens(&'a Slug),
    /// To import tokens into this workspace.
    Import(&'a Slug),
    /// To change this token.
    Token(TokenId),
    /// To change the token that asks.
    Own,
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
    /// Servers of version 0.1 know nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_of: Option<TokenId>,
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
    /// Those of authorisation, by the request's purpose; `Invalid` for a key that is not 1 to 255 visible characters of ASCII;
    /// `IdempotencyInFlight` while the first attempt goes on; `IdempotencyMismatch` when it was for
    /// another request; `TooManyKeys`. For a reply that holds a secret: `RevealNotAllowed` where policy shows secrets
    /// once and ten minutes are over, and the errors of revealing that secret.
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
                // Given back: the repetition takes one for itself.
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
                    // It was given up a moment ago: the next attempt will find out.
                    None => Err(ServiceError::IdempotencyInFlight),
                }
            }
        }
    }

    /// The reply to a rotation that a token asked for itself, for the secret that asked for it and was
    /// replaced by it. The caller lost the reply and has no other secret. Presenting the secret for this is
    /// no reuse. `None` for every other secret, key and request, after ten minutes, and once a newer secret of the token
    /// was used: then the reply arrived, and somebody else may have recorded the request.
    ///
    /// # Errors
    /// `IdempotencyInFlight` while the rotation goes on.
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

    /// Keeps the reply for those who repeat the request. An attempt that was taken over meanwhile
    /// keeps nothing.
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

    /// Gives an attempt up whose outcome is nobody's: the next one may begin at once.
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
        let message = format!("must be 1 to {KEY_MAX} visible characters of ASCII");
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
