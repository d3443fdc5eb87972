//! Looks once more at what accounts were doing whose passwords ended.
//!
//! Somebody else may have used such an account. What it was doing at that moment may be committed before the change that
//! ended the password: a person with a password from it, a link, a token. So the change notes the account, and when all that
//! the account was doing is committed or refused, this looks at it again:
//!
//! - Its links end. Passwords that it gave descend from the giver of its own, and end if the giver may not set them.
//! - The people whose passwords end that way are looked at in the same manner, until there are no more.
//! - What it did until now is not its person's doing. Tokens are sought by that, so they come later.
//!
//! The answer waits for this. If the caller hangs up or the server ends before, a background task goes on by the note. Until
//! then no link opens such an account again.

use std::collections::HashSet;

use domain::{ids::UserId, token::UserSummary};
use uuid::Uuid;

use super::password_end;
use crate::{
    Authority, OpContext, ServiceError,
    audit::{Author, record_by},
    authority::Inner,
    locks,
    replicas::Transaction,
    store::{
        passwords,
        person_stops::{self as store, PersonStop},
        secret_stops::{self, Of, SecretStop},
        sessions,
    },
};

/// What the look found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The people whose passwords ended.
    pub(crate) ended: Vec<UserSummary>,
    /// The tokens that are to be disabled.
    pub(crate) stops: Vec<SecretStop>,
}

/// Notes that the accounts of these people are to be looked at, in the transaction that ended their passwords. The caller
/// looks after its commit, with [`look`].
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

/// Looks at all that is noted.
///
/// # Errors
/// `Unfinished` when a background task must go on.
pub(super) async fn look(inner: &Inner, stops: Vec<PersonStop>) -> Result<Found, ServiceError> {
    let mut all = Found::default();
    for stop in stops {
        let found = inner.look_again(stop).await.map_err(|error| {
            error.log("second look at accounts whose passwords ended");
            ServiceError::Unfinished
        })?;
        all.ended.extend(found.ended);
        all.stops.extend(found.stops);
    }
    Ok(all)
}

impl Authority {
    /// Looks at the accounts of all notes on which no server works at present. Tokens that are to be disabled with them
    /// have notes of their own.
    ///
    /// # Errors
    /// `Unavailable` without the database.
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
                error.log("second look at accounts whose passwords ended");
                let mut connection = self.inner.connection().await?;
                store::release(&mut connection, id).await?;
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

    /// Ends what the accounts left. Returns whose passwords ended.
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
