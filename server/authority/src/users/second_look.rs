//! Checks accounts again after their passwords were expired.
//!
//! Another person may have used such an account. What it was doing at that moment may be committed
//! before the change that expired the password: it may have created a person with a password, a
//! link, or a token. So the change notes the account. Once everything that the account was doing is
//! committed or refused, this module checks it again:
//!
//! - Its links are deleted. Passwords that it gave now descend from the giver of its own password,
//!   and are expired if that giver may not set them.
//! - The people whose passwords are expired that way are checked in the same way, until there are
//!   no more.
//! - Its actions until now are no longer attributed to its person. The search for tokens depends on
//!   this, so it comes later.
//!
//! The response waits for this check. If the caller disconnects or the server stops first, a
//! background task continues from the note. Until then, no link opens such an account again.

use std::collections::HashSet;

use domain::{ids::UserId, token::UserSummary};
use uuid::Uuid;

use super::password_end;
use crate::{
    OpContext, ServiceError,
    audit::record_by,
    kernel::Author,
    state::{Authority, Inner},
    store::{
        locks, passwords,
        person_stops::{self as store, PersonStop},
        secret_stops::{self, Of, SecretStop},
        sessions,
    },
    transaction::Transaction,
};

/// The results of the check.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The people whose passwords were expired.
    pub(crate) ended: Vec<UserSummary>,
    /// The tokens to disable.
    pub(crate) stops: Vec<SecretStop>,
}

/// Notes that the accounts of these people must be checked again, in the transaction that expired
/// their passwords. The caller does so after its commit, with [`look`].
pub(super) async fn note(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    giver: UserId,
    ended: &[UserId],
    ends_more: bool,
) -> Result<PersonStop, ServiceError> {
    let id = transaction.uuid(ctx.now);
    let (ended, author) = (ended.to_vec(), Author::of(ctx));
    let stop = PersonStop { id, giver, ended, ends_more, by: ctx.user_id(), author };
    store::insert(transaction, &stop).await?;
    Ok(stop)
}

/// Checks all noted accounts.
///
/// # Errors
/// `Unfinished` if a background task must continue.
pub(super) async fn look(inner: &Inner, stops: Vec<PersonStop>) -> Result<Found, ServiceError> {
    let mut all = Found::default();
    for stop in stops {
        let found = inner.look_again(stop).await.map_err(|error| {
            error.log("second check of accounts whose passwords expired");
            ServiceError::Unfinished
        })?;
        all.ended.extend(found.ended);
        all.stops.extend(found.stops);
    }
    Ok(all)
}

impl Authority {
    /// Checks the accounts of all notes that no other server is working on. Tokens to disable have
    /// notes of their own.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    pub(crate) async fn look_again_at_ended(&self) -> Result<(), ServiceError> {
        loop {
            let mut transaction = self.inner.begin().await?;
            let stop = store::claim(&mut transaction).await?;
            transaction.commit().await?;
            let Some(stop) = stop else { return Ok(()) };
            let id = stop.id;
            let outcome = async {
                for stop in self.inner.look_again(stop).await?.stops {
                    self.inner.disable_noted(&stop).await?;
                }
                Ok::<_, ServiceError>(())
            };
            if let Err(error) = outcome.await {
                error.log("second check of accounts whose passwords expired");
                let mut connection = self.inner.connection().await?;
                store::keep(&mut connection, id).await?;
            }
        }
    }
}

impl Inner {
    async fn look_again(&self, mut stop: PersonStop) -> Result<Found, ServiceError> {
        let mut found = Found::default();
        let mut waited_for = HashSet::new();
        loop {
            store::keep(&mut *self.connection().await?, stop.id).await?;
            let people = stop.ended.iter().map(|person| person.0).chain([stop.giver.0]);
            self.wait_for_acts(&people.collect::<Vec<Uuid>>()).await?;
            waited_for.extend(stop.ended.iter().copied());
            let mut transaction = self.begin().await?;
            locks::people(&mut transaction).await?;
            let Some(all) = store::ended(&mut transaction, stop.id).await? else {
                return Ok(found);
            };
            if all.iter().any(|person| !waited_for.contains(person)) {
                // Another server works on this note, too, and has found more people.
                transaction.rollback().await?;
                stop.ended = all;
                continue;
            }
            let ended = self.end_more(&mut transaction, &stop, &mut found.stops).await?;
            if ended.is_empty() {
                store::finish(&mut transaction, stop.id).await?;
                transaction.commit().await?;
                return Ok(found);
            }
            stop.ended = ended.iter().map(|person| person.id).collect();
            store::add(&mut transaction, stop.id, &stop.ended).await?;
            transaction.commit().await?;
            found.ended.extend(ended);
        }
    }

    /// Withdraws what the accounts left behind. Returns the people whose passwords were expired.
    async fn end_more(
        &self,
        transaction: &mut Transaction<'_>,
        stop: &PersonStop,
        stops: &mut Vec<SecretStop>,
    ) -> Result<Vec<UserSummary>, ServiceError> {
        passwords::lock_descended(transaction, stop.giver, &stop.ended, stop.by).await?;
        passwords::hand_back(transaction, &stop.ended, stop.giver).await?;
        passwords::disown(transaction, &stop.ended).await?;
        let mut ended = passwords::end_unmade(transaction, stop.giver).await?;
        if stop.ends_more {
            let more = passwords::end_descended(transaction, stop.giver, stop.by).await?;
            for person in &more {
                for of in [Of::ActingAs(person.id), Of::KnownTo(person.id)] {
                    let id = transaction.uuid(self.instant());
                    let (by, author) = (stop.by, stop.author.clone());
                    let note = SecretStop { id, workspace: None, of, by, author };
                    secret_stops::insert(transaction, &note).await?;
                    stops.push(note);
                }
            }
            ended.extend(more);
        }
        let mut sessions = Vec::with_capacity(ended.len());
        for person in &ended {
            sessions.push(sessions::end_others(transaction, person.id, None).await?);
        }
        for (person, sessions) in ended.iter().zip(sessions) {
            let by = (self.keys.as_ref(), &stop.author, self.instant());
            record_by(transaction, by, password_end(person, sessions)).await?;
        }
        Ok(ended)
    }
}
