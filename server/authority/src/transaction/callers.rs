//! Checks the callers of changes again, in the transaction that makes the change.
//!
//! A request may wait between its authentication and its change: for its body, for a connection,
//! for a lock. These rules prevent a caller from using rights that were revoked meanwhile:
//!
//! - A change reads its caller again when it begins, and continues with the caller's current
//!   rights. It is refused if the caller has lost a right.
//! - A change reads its caller again at its commit: the person and their session, the membership
//!   and the rules on which the change rests, and the token. It is refused if one of them grants
//!   less than before, or if a person has another role. The same applies to the owners of the
//!   tokens that it creates.
//! - The caller is not locked while a change is in progress. Stopping a person or a token never
//!   waits for their changes in progress.
//!
//! The last check and the commit are two steps, and a stop may happen between them:
//!
//! - A change takes a shared lock on its person for these two steps. A change that takes something
//!   from a person commits, and then takes that lock exclusively for a moment
//!   ([`Inner::wait_for_acts`]). At that point all changes by the person are committed, and later
//!   ones are refused. Only then does it search for what the person created, and only then is it
//!   acknowledged. No other lock is held or awaited together with that one, so there is no
//!   deadlock. The moment is as long as a commit takes, including its wait for `revision_head`.
//! - Rules of the instance are changed in the same way.
//! - A token, a membership and the rules of a workspace change under the lock of the end of the
//!   workspace's audit log. A change in that workspace holds this lock, too, from the time when it
//!   writes its audit row. So either the stop commits first and the change is refused, or the
//!   change commits first and the stop sees everything that it created, because the stop searches
//!   for that after it has written its own audit row.
//!
//! The stop of a token does not wait for the changes that its descendants have in progress. The
//! code that stops the descendants does (`tokens/children.rs`).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use crate::kernel::Facts;
use domain::{
    catalogue::ScopeName,
    decision::{DecisionCode, Demand},
    ids::{SessionId, TokenId, UserId},
    names::AudienceSlug,
    roles::InstanceRole,
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    kernel::{Actor, Known, bounds_of_facts},
    shares::Share,
    state::Inner,
    store::callers::{self as store, Lock},
    transaction::Transaction,
};

/// Distinguishes the keys of these locks from other keys.
const KEYS: u64 = 0x6361_6c6c_6572_7321;
/// The rules of the instance, as one of these locks.
pub(crate) const RULES: Uuid = Uuid::nil();
pub(crate) const CHANGED: &str = "Your permissions changed while this request was waiting. If you're still allowed to do this, send it again.";

impl Actor {
    /// Refuses a caller who has lost something, judging by what the same credential grants now.
    ///
    /// # Errors
    ///
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
    /// Begins a change by this caller. `people` are those from whom it may take something away: its
    /// commit returns when all their changes in progress are committed or refused.
    ///
    /// Returns the caller with their current rights; the change must use these.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, `PasswordChangeRequired`, `Forbidden` when something was taken from the
    /// caller since the request was authenticated.
    pub(crate) async fn begin_for(
        &self,
        ctx: &OpContext,
        people: &[Uuid],
    ) -> Result<(Transaction<'_>, OpContext), ServiceError> {
        let mut transaction = self.begin().await?;
        transaction.ends_acts_of(people);
        self.read_caller(transaction, ctx, None).await
    }

    /// Begins a change of a token, which may be the calling one, as [`Self::begin_for`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Self::begin_for`].
    pub(crate) async fn begin_for_token(
        &self,
        ctx: &OpContext,
        token: TokenId,
    ) -> Result<(Transaction<'_>, OpContext), ServiceError> {
        let transaction = self.begin().await?;
        self.read_caller(transaction, ctx, Some(token)).await
    }

    async fn read_caller<'a>(
        &self,
        mut transaction: Transaction<'a>,
        ctx: &OpContext,
        token: Option<TokenId>,
    ) -> Result<(Transaction<'a>, OpContext), ServiceError> {
        // Before the caller is read, so that the commit sees everything that is narrowed in
        // between.
        if let Some(person) = self.calling_person(ctx) {
            transaction.depends_on_person(person).await?;
        }
        let mut ctx = ctx.clone();
        ctx.actor = match ctx.actor.clone() {
            actor @ (Actor::Anonymous | Actor::Operator) => actor,
            actor @ (Actor::User(_) | Actor::Restricted(_)) => {
                transaction.check_person().await?;
                actor
            }
            Actor::Token(known) => {
                let is_own = token == Some(known.token_id);
                let caller = CallingToken { known, ip: ctx.client_ip };
                let now = self.clock.now();
                let known = match caller.read(&mut transaction, now).await {
                    Ok(found) if has_all(&found, &caller.known) => Arc::new(Known::new(found)),
                    Ok(_) => return Err(ServiceError::Forbidden(CHANGED)),
                    // The token was deleted, and the change of that same token will report it.
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

    /// Returns the person who makes a change, or as whom the calling token acts.
    fn calling_person(&self, ctx: &OpContext) -> Option<CallingPerson> {
        let user = ctx.user_id()?;
        let signed_in = match &ctx.actor {
            Actor::User(visitor) | Actor::Restricted(visitor) => Some(SignedIn {
                instance_role: visitor.instance_role,
                session: ctx.session,
                session_idle: self.settings.session_idle,
                is_restricted: matches!(ctx.actor, Actor::Restricted(_)),
            }),
            Actor::Anonymous | Actor::Operator | Actor::Token(_) => None,
        };
        Some(CallingPerson { user, signed_in })
    }

    /// Waits after a commit until all changes that these people have in progress are committed or
    /// refused. The request keeps its part of a share meanwhile, so that other requests cannot
    /// delay the steps that follow a commit.
    ///
    /// If the wait fails, the change is still made and reported as such. If a step must follow the
    /// wait, a recorded note makes sure that it does (`users/second_look.rs`).
    pub(crate) async fn let_acts_end(&self, share: Share, people: &[Uuid]) {
        if let Err(error) = self.wait_for_acts(people).await {
            error.log("waiting for changes in progress");
        }
        drop(share);
    }

    /// Waits until all changes that these people have in progress are committed. Their later
    /// changes are refused if a right that they rest on was revoked before: they check that under
    /// the same lock.
    ///
    /// # Errors
    ///
    /// `Busy` and others when the wait failed.
    pub(crate) async fn wait_for_acts(&self, people: &[Uuid]) -> Result<(), ServiceError> {
        if people.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        store::lock(&mut transaction, &locks(people, true)).await?;
        // Releases these locks at once.
        transaction.rollback().await
    }
}

/// The person who makes a change, or as whom the calling token acts, with their state when the
/// change began.
#[derive(Clone, Debug)]
pub(crate) struct CallingPerson {
    user: UserId,
    /// `None` when a token acts for them: the facts of the token contain their role.
    signed_in: Option<SignedIn>,
}

#[derive(Clone, Debug)]
struct SignedIn {
    instance_role: InstanceRole,
    session: Option<SessionId>,
    session_idle: Duration,
    is_restricted: bool,
}

impl CallingPerson {
    pub(crate) const fn user(&self) -> UserId {
        self.user
    }

    /// Refuses a person who may not act any more or has another role, and a person whose session
    /// has ended.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, `PasswordChangeRequired`, `Forbidden`.
    pub(crate) async fn check(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let session = self.signed_in.as_ref().and_then(|signed_in| {
            signed_in.session.map(|session| (session, now, now - signed_in.session_idle))
        });
        let found = store::standing(connection, self.user, session).await?;
        let found = found.ok_or(ServiceError::Unauthenticated)?;
        let Some(signed_in) = &self.signed_in else { return Ok(()) };
        if !found.may_sign_in || signed_in.session.is_some() && !found.has_session {
            return Err(ServiceError::Unauthenticated);
        }
        // The restriction applies to sessions only.
        if found.must_change_password && signed_in.session.is_some() && !signed_in.is_restricted {
            return Err(ServiceError::PasswordChangeRequired);
        }
        if found.instance_role != signed_in.instance_role {
            return Err(ServiceError::Forbidden(CHANGED));
        }
        Ok(())
    }
}

/// The token that makes a change, with its state when the change began.
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
    /// Returns whether this is the given token.
    pub(crate) fn is(&self, token: TokenId) -> bool {
        self.known.token_id == token
    }

    /// Returns whether it acts as this user.
    pub(crate) fn acts_for(&self, user: UserId) -> bool {
        self.known.surroundings.user.id == user
    }

    /// Refuses the change if something was taken from the token since the change began: the result
    /// could exceed the token's current rights.
    ///
    /// # Errors
    ///
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

    /// Checks, as [`Self::check`] does, a change of the token itself, which grants nothing to
    /// another token: a replaced secret may make such changes until it expires.
    ///
    /// # Errors
    ///
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

/// Returns whether a token still acts as the same user and has lost no right.
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

/// Locks people and, if the change rests on them, the rules of the instance, from the last check of
/// the caller until the commit.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    people: impl IntoIterator<Item = UserId>,
    rests_on_rules: bool,
) -> Result<(), ServiceError> {
    let rules = rests_on_rules.then_some(RULES);
    let held: Vec<Uuid> = people.into_iter().map(|user| user.0).chain(rules).collect();
    if held.is_empty() {
        return Ok(());
    }
    Ok(store::lock(connection, &locks(&held, false)).await?)
}

/// Returns the locks of these ids, without duplicates, in the order that all transactions follow.
fn locks(ids: &[Uuid], alone: bool) -> Vec<Lock> {
    let mut locks: Vec<_> = ids.iter().map(|id| Lock { key: key(*id), alone }).collect();
    locks.sort_unstable_by_key(|lock| lock.key);
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
    fn each_lock_is_held_once_and_in_a_fixed_order() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let held = locks(&[three, one, two, two], false);
        assert_eq!(held.len(), 3);
        assert!(held.is_sorted_by_key(|lock| lock.key));
        let alone: Vec<_> = locks(&[two, three, one], true).iter().map(|lock| lock.key).collect();
        assert_eq!(alone, held.iter().map(|lock| lock.key).collect::<Vec<_>>());
    }
}
