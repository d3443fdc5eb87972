//! Converts tokens that 0.1 servers wrote, with separate lists of audiences and scopes, to pairs.
//!
//! An unconverted row means what the catalogues say at present (`held_scopes` in the migrations),
//! so a 0.1 server can still create tokens. The pairs are written at each start and before a
//! catalogue changes, so that no later change of a catalogue adds to what a token holds.

use std::collections::{BTreeSet, HashMap};

use domain::{
    catalogue::ScopeName,
    held::{Read, read_flat},
    ids::AudienceId,
    names::AudienceSlug,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Tokens;
use crate::{
    OpContext, ServiceError,
    store::{
        catalogues::{self, StoredCatalogue},
        locks,
        unread::{self as store, Doubt, Unread, UnreadScope},
    },
};

/// The number of tokens per batch.
const BATCH: i64 = 500;

impl Tokens<'_> {
    /// Returns the scopes that were in doubt when tokens of 0.1 servers were converted, each with
    /// its token. Changing the token's scopes or deleting it removes it from the list.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "unread_scopes",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn unread_scopes(&self, ctx: &OpContext) -> Result<Vec<UnreadScope>, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        Ok(store::doubts(&mut connection).await?)
    }

    /// Converts all tokens that are not converted yet, one batch per transaction.
    pub(crate) async fn read_all(&self) -> Result<(), ServiceError> {
        loop {
            let mut transaction = self.inner.begin().await?;
            let now = self.inner.clock.now();
            let more = read_some(&mut transaction, now).await?;
            transaction.commit().await?;
            if !more {
                return Ok(());
            }
        }
    }
}

/// Converts all tokens that are not converted yet, in the transaction that is about to change
/// a catalogue.
pub(crate) async fn read_before_change(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), ServiceError> {
    while read_some(connection, now).await? {}
    Ok(())
}

/// Converts one batch. Returns whether there was any token to convert.
async fn read_some(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<bool, ServiceError> {
    if store::some(connection, 1).await?.is_empty() {
        return Ok(false);
    }
    locks::reading(connection).await?;
    let catalogues = catalogues::all(connection).await?;
    let (mut held, mut doubts) = (Vec::new(), Vec::new());
    for token in store::some(connection, BATCH).await? {
        let (scopes, read) = pairs(&token, &catalogues);
        held.extend(scopes.into_iter().map(|(audience, scopes)| (token.token, audience, scopes)));
        if !token.deleted {
            let note = |doubt| move |scope: &ScopeName| (token.token, scope.to_string(), doubt);
            doubts.extend(read.ambiguous.iter().map(note(Doubt::Ambiguous)));
            doubts.extend(read.undeclared.iter().map(note(Doubt::Undeclared)));
        }
    }
    store::write(connection, &held).await?;
    store::note(connection, &doubts, now).await?;
    Ok(true)
}

/// Returns the scopes of a token in each of its audiences, separated by spaces.
fn pairs(token: &Unread, catalogues: &[StoredCatalogue]) -> (Vec<(AudienceId, String)>, Read) {
    let own: HashMap<&AudienceSlug, &StoredCatalogue> = catalogues
        .iter()
        .filter(|stored| token.audiences.contains(&stored.id))
        .map(|stored| (&stored.catalogue.audience, stored))
        .collect();
    let slugs: Vec<AudienceSlug> = own.keys().map(|slug| (*slug).clone()).collect();
    let read = match slugs.as_slice() {
        // With one audience, nothing is in doubt.
        [only] => Read {
            held: [(only.clone(), token.scopes.iter().cloned())].into_iter().collect(),
            ..Read::default()
        },
        _ => read_flat(&slugs, &token.scopes, |slug, scope| {
            own.get(slug).is_some_and(|stored| stored.knows(scope))
        }),
    };
    let words = |(slug, scopes): (&AudienceSlug, &BTreeSet<ScopeName>)| {
        let scopes: Vec<&str> = scopes.iter().map(AsRef::as_ref).collect();
        own.get(slug).map(|stored| (stored.id, scopes.join(" ")))
    };
    (read.held.iter().filter_map(words).collect(), read)
}
