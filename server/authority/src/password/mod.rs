//! Passwords: argon2id (RFC 9106) with the minimum parameters of OWASP's cheat sheet.
//!
//! A password is hashed in Unicode's normal form C (NIST SP 800-63B-4 section 3.1.1.2), because
//! keyboards compose the same letters differently. Older hashes of other forms still verify:
//! [`PasswordVault::check`] also tries the text as typed.

use std::sync::Arc;

mod fold;
mod guess;
mod lexicon;
mod phrases;
mod rule;
mod runs;
mod words;

pub use rule::PASSWORD_MIN;
use rule::{PASSWORD_MAX_BYTES, check_strength};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use domain::ids::UserId;
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    entropy::{self, Entropy},
    kernel::{Actor, network},
    secret::Password,
    work::{Heavy, Kind, Pool},
};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The tenant of a place in the queue for passwords. Signed-in callers and links count for their
/// person, tokens for their workspace, and anonymous callers for their address, so that each of
/// them can only delay itself. An anonymous caller never counts for the account that they name,
/// because the waiting time must not reveal whether it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant(Uuid);

impl Tenant {
    /// Returns the tenant of the caller.
    pub(crate) fn of(ctx: &OpContext) -> Self {
        match &ctx.actor {
            Actor::User(visitor) | Actor::Restricted(visitor) => Self::person(visitor.user.id),
            Actor::Token(facts) => Self(facts.surroundings.workspace_id.0),
            Actor::Operator => Self(Uuid::nil()),
            Actor::Anonymous => {
                let network = network(ctx.client_ip);
                let mac = ctx.keys.blind("password work", &[network.as_bytes()]);
                let mut id = [0; 16];
                id.copy_from_slice(&mac[..16]);
                Self(Uuid::from_bytes(id))
            }
        }
    }

    /// Returns the tenant of a person whose link the caller has.
    pub(crate) const fn person(user: UserId) -> Self {
        Self(user.0)
    }

    /// Returns the key of its counters.
    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Judges, hashes and checks passwords, a few at a time, on the worker threads. Tenants take turns.
pub(crate) struct PasswordVault {
    work: Arc<Pool>,
    /// The public name of the server, which an attacker knows.
    host: String,
    /// A hash of a random secret, so that an unknown user costs as much time as a known one.
    decoy: String,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PasswordCheck {
    Wrong,
    Right,
    /// The password is right, but the stored hash has weaker parameters than the current ones, or
    /// is of a text that is not normalised. Store this hash instead.
    RightButOld(String),
}

impl PasswordVault {
    pub(crate) fn new(entropy: &dyn Entropy, work: Arc<Pool>) -> Self {
        let salt: [u8; 16] = entropy::bytes(entropy);
        let secret: [u8; 32] = entropy::bytes(entropy);
        let decoy = hash_now(&secret, &salt).unwrap_or_default();
        Self { work, host: String::new(), decoy }
    }

    /// Adds the public name of the server to what an attacker knows.
    pub(crate) fn with_host(self, host: String) -> Self {
        Self { host, ..self }
    }

    /// Returns what is wrong with a new password, as the end of a sentence that begins with its
    /// name. `context` contains what an attacker knows besides the server's host: the person's
    /// address and name, the organisation, and the workspaces.
    pub(crate) async fn judge(
        &self,
        tenant: Tenant,
        password: &Password,
        context: &[&str],
    ) -> Result<Result<(), String>, ServiceError> {
        let password = normalised(password);
        let context: Vec<String> =
            context.iter().copied().chain([self.host.as_str()]).map(str::to_owned).collect();
        let run = move |heavy: &Heavy| {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            check_strength(&password, &context, heavy)
        };
        self.work.run(Kind::NewPassword, tenant.0, run).await
    }

    /// Returns a PHC string to store.
    pub(crate) async fn hash(
        &self,
        tenant: Tenant,
        password: &Password,
        entropy: &dyn Entropy,
    ) -> Result<String, ServiceError> {
        let salt: [u8; 16] = entropy::bytes(entropy);
        let password = normalised(password);
        let run = move |_: &Heavy| hash_now(password.expose().as_bytes(), &salt);
        self.work.run(Kind::Password, tenant.0, run).await?
    }

    /// Checks a password. `stored` is `None` for an account that doesn't exist or has no password:
    /// the same work is done, and the result is `Wrong`.
    pub(crate) async fn check(
        &self,
        tenant: Tenant,
        password: &Password,
        stored: Option<String>,
        entropy: &dyn Entropy,
    ) -> Result<PasswordCheck, ServiceError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let (typed, password) = (password.clone(), normalised(password));
        let salt: [u8; 16] = entropy::bytes(entropy);
        let run = move |_: &Heavy| {
            let (typed, text) = (typed.expose(), password.expose());
            let fits = |text: &str| {
                text.len() <= PASSWORD_MAX_BYTES
                    && Argon2::default().verify_password(text.as_bytes(), stored.as_str()).is_ok()
            };
            let normal = fits(text);
            // The amount of work depends on what was typed, and not on the account.
            let right = normal || (typed != text && fits(typed));
            if !(right && known) {
                Ok(PasswordCheck::Wrong)
            } else if normal && is_current(&stored) {
                Ok(PasswordCheck::Right)
            } else {
                hash_now(text.as_bytes(), &salt).map(PasswordCheck::RightButOld)
            }
        };
        self.work.run(Kind::Password, tenant.0, run).await?
    }
}

/// Returns whether two texts are the same password, regardless of how keyboards composed them.
pub(crate) fn is_same(one: &Password, other: &Password) -> bool {
    normalised(one).expose() == normalised(other).expose()
}

/// Returns the password in Unicode's normal form C.
fn normalised(password: &Password) -> Password {
    Password::new(password.expose().nfc().collect())
}

fn hasher() -> Result<Argon2<'static>, ServiceError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &[u8], salt: &[u8]) -> Result<String, ServiceError> {
    let hash: PasswordHash = hasher()?
        .hash_password_with_salt(password, salt)
        .map_err(|error| ServiceError::internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn is_current(stored: &str) -> bool {
    stored.starts_with(&format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"))
}

/// Combines what is known about a person and about the place.
pub(crate) fn about<'a>(person: &[&'a str], place: &'a [String]) -> Vec<&'a str> {
    person.iter().copied().chain(place.iter().map(String::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    const ONE: Tenant = Tenant(Uuid::from_u128(1));
    const OTHER: Tenant = Tenant(Uuid::from_u128(2));

    #[tokio::test]
    async fn tenant_fills_only_its_share_of_the_queues() {
        let work = Arc::new(Pool::default());
        let vault = Arc::new(PasswordVault::new(&SystemEntropy, Arc::clone(&work)));
        let password = Password::new("correct horse battery".into());
        for (kind, threads) in [(Kind::Password, 2), (Kind::NewPassword, 1)] {
            let (release, released) = std::sync::mpsc::channel::<()>();
            let released = Arc::new(std::sync::Mutex::new(released));
            let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
            let block = || {
                let (work, released) = (Arc::clone(&work), Arc::clone(&released));
                let begun = begun.clone();
                tokio::spawn(async move {
                    let wait = move |_: &Heavy| {
                        let _ = begun.send(());
                        let _ = released.lock().unwrap().recv();
                    };
                    work.run(kind, ONE.0, wait).await
                })
            };
            let mut own: Vec<_> = (0..threads).map(|_| block()).collect();
            for _ in 0..threads {
                has_begun.recv().await.unwrap();
            }
            // All threads are busy, so this fills the tenant's share of the queue.
            own.extend((0..16).map(|_| block()));
            let ask = |tenant: Tenant| {
                let (vault, password) = (Arc::clone(&vault), password.clone());
                tokio::spawn(async move {
                    if kind == Kind::NewPassword {
                        vault.judge(tenant, &password, &[]).await.map(drop)
                    } else {
                        vault.check(tenant, &password, None, &SystemEntropy).await.map(drop)
                    }
                })
            };
            let (refused, other) = (ask(ONE), ask(OTHER));
            tokio::task::yield_now().await;
            assert!(refused.is_finished(), "{kind:?}: it waits instead of being refused");
            let refused = refused.await.unwrap();
            assert!(matches!(refused, Err(ServiceError::Busy)), "{kind:?}: {refused:?}");
            drop(release);
            other.await.unwrap().unwrap();
            for job in own {
                job.await.unwrap().unwrap();
            }
        }
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_is_accepted() {
        let vault = PasswordVault::new(&SystemEntropy, Arc::default());
        let password = Password::new("correct horse battery".into());
        let stored = vault.hash(ONE, &password, &SystemEntropy).await.unwrap();
        assert!(is_current(&stored));
        let check = async |password: &Password, stored: Option<String>| {
            vault.check(ONE, password, stored, &SystemEntropy).await.unwrap()
        };
        assert_eq!(check(&password, Some(stored.clone())).await, PasswordCheck::Right);
        let wrong = Password::new("correct horse batterz".into());
        assert_eq!(check(&wrong, Some(stored)).await, PasswordCheck::Wrong);
        assert_eq!(check(&password, None).await, PasswordCheck::Wrong);
    }

    #[tokio::test]
    async fn differently_composed_letters_are_the_same_password() {
        let vault = PasswordVault::new(&SystemEntropy, Arc::default());
        let composed = Password::new("caf\u{e9} ladder mist drums".into());
        let decomposed = Password::new("cafe\u{301} ladder mist drums".into());
        let check = async |password: &Password, stored: &str| {
            vault.check(ONE, password, Some(stored.to_owned()), &SystemEntropy).await.unwrap()
        };
        let stored = vault.hash(ONE, &decomposed, &SystemEntropy).await.unwrap();
        assert_eq!(check(&composed, &stored).await, PasswordCheck::Right);
        assert_eq!(check(&decomposed, &stored).await, PasswordCheck::Right);
        // A hash of version 0.1 is of the text as it was typed then.
        let before = hash_now(decomposed.expose().as_bytes(), b"0123456789abcdef").unwrap();
        let outcome = check(&decomposed, &before).await;
        let PasswordCheck::RightButOld(newer) = outcome else { panic!("{outcome:?}") };
        assert_eq!(check(&composed, &newer).await, PasswordCheck::Right);
    }

    #[tokio::test]
    async fn hash_of_weaker_parameters_is_replaced() {
        let vault = PasswordVault::new(&SystemEntropy, Arc::default());
        let weak: PasswordHash =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap())
                .hash_password_with_salt(b"correct horse battery", b"0123456789abcdef")
                .unwrap();
        let password = Password::new("correct horse battery".into());
        let outcome =
            vault.check(ONE, &password, Some(weak.to_string()), &SystemEntropy).await.unwrap();
        let PasswordCheck::RightButOld(stronger) = outcome else { panic!("{outcome:?}") };
        assert!(is_current(&stronger));
    }
}
