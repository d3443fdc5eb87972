//! Callers of changes, looked at again in the transaction that makes the change.
//!
//! A request may wait between its authentication and its change: for its body, for a place, for a lock. So that
//! nobody acts by rights that were taken from them meanwhile:
//! - A change holds its caller, and whoever the caller acts for, before it does anything else. Many changes may
//!   hold the same one at the same time.
//! - What takes something away from somebody holds them alone: it waits for the changes that they are making, and
//!   they make no other one until it is done. Then it sees all that they made.
//! - A change reads its caller again, held, and goes on with what is true of them now. It is refused when a right
//!   was taken away from them.
//! - What takes a person's rights in one workspace away holds nobody. A change there looks at its caller's
//!   memberships again when it holds the end of the workspace's audit log, which the other one needs, too.
//!
//! Only those are held alone from whom the caller may take something: nobody else is kept waiting.
//!
//! All are held in one order, and first of all: nobody waits in a circle. The stop of a token does not wait for
//! what its descendants are doing: `tokens/children.rs` does.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    access::Permission,
    catalogue::ScopeName,
    decision::{DecisionCode, Demand, Facts},
    ids::TokenId,
    names::AudienceSlug,
    session::Visitor,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    OpContext, ServiceError, access,
    authority::Inner,
    context::Actor,
    replicas::Transaction,
    store::callers::{self as store, Lock},
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
    /// Returns the token that asks, for a change that takes something away from it.
    pub(crate) fn own_token(&self) -> Option<Uuid> {
        match &self.actor {
            Actor::Token(known) => Some(known.token_id.0),
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
    /// Begins a change by this caller. `targets` are the people and tokens from whom it may take something away.
    ///
    /// Returns the caller as they are now, by whom the change is to be made.
    ///
    /// # Errors
    /// `Unauthenticated`, `PasswordChangeRequired`, `Forbidden` when something was taken from the caller since the
    /// request was authenticated.
    pub(crate) async fn begin_for(
        &self,
        ctx: &OpContext,
        targets: &[Uuid],
    ) -> Result<(Transaction<'_>, OpContext), ServiceError> {
        let transaction = self.begin().await?;
        self.hold_caller(transaction, ctx, targets).await
    }

    /// The same for a change that may take something away from a token. Refuses callers who may not change it before
    /// anybody has to wait for them.
    ///
    /// # Errors
    /// As [`Self::begin_for`]; `NotFound`; `Forbidden`.
    pub(crate) async fn begin_for_token(
        &self,
        ctx: &OpContext,
        token: TokenId,
        permission: Permission,
    ) -> Result<(Transaction<'_>, OpContext), ServiceError> {
        let mut transaction = self.begin().await?;
        access::authorise_token(&mut transaction, ctx, token, permission).await?;
        self.hold_caller(transaction, ctx, &[token.0]).await
    }

    async fn hold_caller<'a>(
        &self,
        mut transaction: Transaction<'a>,
        ctx: &OpContext,
        targets: &[Uuid],
    ) -> Result<(Transaction<'a>, OpContext), ServiceError> {
        hold(&mut transaction, ctx, targets).await?;
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
                let now = self.check_token(&mut transaction, &ctx, &known, targets).await?;
                Actor::Token(now.map_or(known, |facts| Arc::new(Known::new(facts))))
            }
        };
        if let Some(user) = ctx.user_id() {
            transaction.depends_on_memberships(user).await?;
        }
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

    async fn check_token(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        before: &Known,
        targets: &[Uuid],
    ) -> Result<Option<Facts>, ServiceError> {
        let found = store::facts_of_secret(connection, before.secret.id).await?;
        let found = found.ok_or(ServiceError::Unauthenticated)?;
        let demand = Demand { ip: ctx.client_ip, ..Demand::default() };
        match found.decide(&demand, self.clock.now()) {
            DecisionCode::Valid if has_all(&found, before) => Ok(Some(found)),
            DecisionCode::Valid => Err(ServiceError::Forbidden(CHANGED)),
            // The token is gone, and the change that was to be made of it will say so.
            DecisionCode::Revoked if targets.contains(&before.token_id.0) => Ok(None),
            _ => Err(ServiceError::Unauthenticated),
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

async fn hold(
    connection: &mut PgConnection,
    ctx: &OpContext,
    targets: &[Uuid],
) -> Result<(), ServiceError> {
    let user = ctx.user_id().map(|user| user.0);
    let held: Vec<Uuid> = user.into_iter().chain(ctx.own_token()).collect();
    take(connection, &held, targets).await
}

/// Holds people and tokens alone, on behalf of nobody.
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
