//! Callers of changes, looked at again in the transaction that makes the change.
//!
//! A request may wait between its authentication and its change: for its body, for a place, for a lock. So that
//! nobody acts by rights that were taken from them meanwhile:
//! - A change reads its caller again when it begins, and goes on with what is true of them now. It is refused when a
//!   right was taken away from them.
//! - A change holds the person who makes it, or for whom a token makes it, before it does anything else. Many changes
//!   may hold the same person at the same time. A change that takes something away from a person holds them alone: it
//!   waits for the changes that they are making, and they make no other one until it is done. Then it sees all that
//!   they made.
//! - A token is not held: its stop waits for nothing that it does. A change by a token reads it again at its commit, while
//!   it holds the end of the workspace's audit log. Every change of the token needs that, too. So either the stop is
//!   committed first, and the change is refused; or the change is, and the stop sees all that the token made, because
//!   it looks for that after it has written its row of the log.
//! - What takes a person's rights in one workspace away, or changes rules, holds nobody. A change there looks at its
//!   caller's membership and the rules again in the same way.
//!
//! Only those are held alone from whom the caller may take something: nobody else is kept waiting.
//!
//! All are held in one order, and first of all: nobody waits in a circle. The stop of a token does not wait for
//! what its descendants are doing: `tokens/children.rs` does.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use domain::{
    catalogue::ScopeName,
    decision::{DecisionCode, Demand, Facts},
    ids::{TokenId, UserId},
    names::AudienceSlug,
    session::Visitor,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    authority::Inner,
    context::Actor,
    replicas::Transaction,
    store::callers::{self as store, Lock},
    tokens::bounds_of_facts,
    verification::Known,
};

/// Tells these locks' keys from others'.
const KEYS: u64 = 0x6361_6c6c_6572_7321;
/// How long a change waits for those whom it holds alone. They may be amid long changes, which end before a request
/// does.
const PATIENCE: &str = "30s";
/// How long it waits for other locks, as every transaction does.
const USUAL: &str = "10s";
pub(crate) const CHANGED: &str =
    "Your rights changed while this request waited. If you may still do this, send it again.";

impl OpContext {
    /// Returns the token that asks.
    pub(crate) fn own_token(&self) -> Option<TokenId> {
        match &self.actor {
            Actor::Token(known) => Some(known.token_id),
            _ => None,
        }
    }
}

impl Actor {
    /// Refuses a caller from whom something was taken, by what the same credential gives now.
    ///
    /// # Errors
    /// `Unauthenticated`, `PasswordChangeRequired`, `Forbidden`.
    pub fn check_again(&self, now: &Self) -> Result<(), ServiceError> {
        let is_kept = match (self, now) {
            (Self::User(_), Self::Restricted(_)) => {
                return Err(ServiceError::PasswordChangeRequired);
            }
            (
                Self::User(before) | Self::Restricted(before),
                Self::User(now) | Self::Restricted(now),
            ) => before.user.id == now.user.id && before.instance_role == now.instance_role,
            (Self::Token(before), Self::Token(now)) => has_all(now, before),
            _ => return Err(ServiceError::Unauthenticated),
        };
        if is_kept { Ok(()) } else { Err(ServiceError::Forbidden(CHANGED)) }
    }
}

impl Inner {
    /// Begins a change by this caller. `people` are those from whom it may take something away.
    ///
    /// Returns the caller as they are now, by whom the change is to be made.
    ///
    /// # Errors
    /// `Unauthenticated`, `PasswordChangeRequired`, `Forbidden` when something was taken from the caller since the
    /// request was authenticated.
    pub(crate) async fn begin_for(
        &self,
        ctx: &OpContext,
        people: &[Uuid],
    ) -> Result<(Transaction<'_>, OpContext), ServiceError> {
        let transaction = self.begin().await?;
        self.hold_caller(transaction, ctx, people, None).await
    }

    /// The same for a change of a token, which may be the one that asks.
    ///
    /// # Errors
    /// As [`Self::begin_for`].
    pub(crate) async fn begin_for_token(
        &self,
        ctx: &OpContext,
        token: TokenId,
    ) -> Result<(Transaction<'_>, OpContext), ServiceError> {
        let transaction = self.begin().await?;
        self.hold_caller(transaction, ctx, &[], Some(token)).await
    }

    async fn hold_caller<'a>(
        &self,
        mut transaction: Transaction<'a>,
        ctx: &OpContext,
        people: &[Uuid],
        token: Option<TokenId>,
    ) -> Result<(Transaction<'a>, OpContext), ServiceError> {
        let caller: Vec<Uuid> = ctx.user_id().map(|user| user.0).into_iter().collect();
        take(&mut transaction, &caller, people).await?;
        // Before the caller is read: what is narrowed in between is seen by the commit.
        if let Some(user) = ctx.user_id() {
            transaction.depends_on_person(user).await?;
        }
        let mut ctx = ctx.clone();
        ctx.actor = match ctx.actor.clone() {
            actor @ (Actor::Anonymous | Actor::Operator) => actor,
            Actor::User(visitor) => {
                self.check_person(&mut transaction, &ctx, &visitor, false).await?;
                Actor::User(visitor)
            }
            Actor::Restricted(visitor) => {
                self.check_person(&mut transaction, &ctx, &visitor, true).await?;
                Actor::Restricted(visitor)
            }
            Actor::Token(known) => {
                let is_own = token == Some(known.token_id);
                let caller = CallingToken { known, ip: ctx.client_ip };
                let now = self.clock.now();
                let known = match caller.read(&mut transaction, now).await {
                    Ok(found) if has_all(&found, &caller.known) => Arc::new(Known::new(found)),
                    Ok(_) => return Err(ServiceError::Forbidden(CHANGED)),
                    // The token is gone, and the change that was to be made of it says so.
                    Err(Refused::Deleted) if is_own => Arc::clone(&caller.known),
                    Err(Refused::Deleted) => return Err(ServiceError::Unauthenticated),
                    Err(Refused::Other(error)) => return Err(error),
                };
                transaction.depends_on_token(CallingToken { known: Arc::clone(&known), ..caller });
                Actor::Token(known)
            }
        };
        Ok((transaction, ctx))
    }

    async fn check_person(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        visitor: &Visitor,
        is_restricted: bool,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let idle_since = now - self.settings.session_idle;
        let found =
            store::signed_in(connection, visitor.user.id, ctx.session, now, idle_since).await?;
        let found = found.ok_or(ServiceError::Unauthenticated)?;
        // The restriction is one of sessions.
        if found.must_change_password && ctx.session.is_some() && !is_restricted {
            return Err(ServiceError::PasswordChangeRequired);
        }
        if found.instance_role != visitor.instance_role {
            return Err(ServiceError::Forbidden(CHANGED));
        }
        Ok(())
    }
}

/// The token that makes a change, as it was when the change began.
#[derive(Clone)]
pub(crate) struct CallingToken {
    known: Arc<Known>,
    ip: Option<IpAddr>,
}

/// Why a token may not act any more.
enum Refused {
    Deleted,
    Other(ServiceError),
}

impl CallingToken {
    /// Returns whether it is this token.
    pub(crate) fn is(&self, token: TokenId) -> bool {
        self.known.token_id == token
    }

    /// Returns whether it acts for this user.
    pub(crate) fn acts_for(&self, user: UserId) -> bool {
        self.known.surroundings.user.id == user
    }

    /// Refuses the change if something was taken from the token since the change began: what it made may go beyond what
    /// the token may do now.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`.
    pub(crate) async fn check(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let found = self.check_use(connection, now).await?;
        let bound = bounds_of_facts(&self.known).is_within(&bounds_of_facts(&found));
        if bound { Ok(()) } else { Err(ServiceError::Forbidden(CHANGED)) }
    }

    /// The same for a change of the token itself, which gives nothing to another one: a secret that was replaced may do
    /// that until it ends.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`.
    pub(crate) async fn check_use(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<Facts, ServiceError> {
        match self.read(connection, now).await {
            Ok(found) if has_all(&found, &self.known) => Ok(found),
            Ok(_) => Err(ServiceError::Forbidden(CHANGED)),
            Err(Refused::Deleted) => Err(ServiceError::Unauthenticated),
            Err(Refused::Other(error)) => Err(error),
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<Facts, Refused> {
        let found = store::facts_of_secret(connection, self.known.secret.id).await;
        let found = found.map_err(|error| Refused::Other(error.into()))?;
        let found = found.ok_or(Refused::Other(ServiceError::Unauthenticated))?;
        match found.decide(&Demand { ip: self.ip, ..Demand::default() }, now) {
            DecisionCode::Valid => Ok(found),
            DecisionCode::Revoked => Err(Refused::Deleted),
            _ => Err(Refused::Other(ServiceError::Unauthenticated)),
        }
    }
}

/// Returns whether a token acts for the same user, and lost no right that it had before.
fn has_all(facts: &Facts, before: &Facts) -> bool {
    let (now, earlier) = (&facts.surroundings, &before.surroundings);
    now.user.id == earlier.user.id
        && now.verifies == earlier.verifies
        && rights(facts).is_superset(&rights(before))
}

fn rights(facts: &Facts) -> BTreeSet<(&AudienceSlug, &ScopeName)> {
    let rights = facts.surroundings.rights.iter();
    rights.flat_map(|of| of.granted.iter().map(|scope| (&of.audience, scope))).collect()
}

/// Holds people alone, on behalf of nobody.
pub(crate) async fn hold_alone(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<(), ServiceError> {
    take(connection, &[], ids).await
}

async fn take(
    connection: &mut PgConnection,
    held: &[Uuid],
    alone: &[Uuid],
) -> Result<(), ServiceError> {
    let locks = locks(held, alone);
    if locks.is_empty() {
        return Ok(());
    }
    if alone.is_empty() {
        return Ok(store::lock(connection, &locks).await?);
    }
    store::wait_for_locks(connection, PATIENCE).await?;
    store::lock(connection, &locks).await?;
    Ok(store::wait_for_locks(connection, USUAL).await?)
}

/// Returns the locks of those who are held and those who are held alone, each once, in the order of everybody's.
fn locks(held: &[Uuid], alone: &[Uuid]) -> Vec<Lock> {
    let of = |ids: &[Uuid], alone: bool| -> Vec<Lock> {
        ids.iter().map(|id| Lock { key: key(*id), alone }).collect()
    };
    let mut locks = [of(held, false), of(alone, true)].concat();
    // Of two locks with the same key, the one that is wanted alone comes first.
    locks.sort_unstable_by_key(|lock| (lock.key, !lock.alone));
    locks.dedup_by_key(|lock| lock.key);
    locks
}

/// Returns the key of a lock. The second half of an id is random.
fn key(id: Uuid) -> i64 {
    let (_, random) = id.as_u64_pair();
    (random ^ KEYS).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_held_once_and_in_one_order() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let held = locks(&[three, one, two, two], &[two]);
        assert_eq!(held.len(), 3);
        assert!(held.is_sorted_by_key(|lock| lock.key));
        assert_eq!(held, locks(&[two, three, one], &[two]));
        let alone: Vec<i64> = held.iter().filter(|lock| lock.alone).map(|lock| lock.key).collect();
        assert_eq!(alone, [key(two)]);
    }
}
