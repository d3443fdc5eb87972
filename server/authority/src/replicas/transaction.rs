//! A transaction that says what it changes of what replicas keep.
//!
//! What a service method changes is noted while it runs and written by the commit: so there is one place
//! where a narrowing change waits until it holds everywhere, and no way around it.

use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;

use crate::{ServiceError, authority::Inner, store::revisions, verification::Subject};

/// An open transaction. Dropped without [`Self::commit`] it is rolled back.
pub(crate) struct Transaction<'a> {
    inner: &'a Inner,
    sql: sqlx::Transaction<'static, Postgres>,
    changed: Vec<Subject>,
    narrows: bool,
    already_so: Vec<Subject>,
}

impl<'a> Transaction<'a> {
    pub(crate) async fn begin(inner: &'a Inner) -> Result<Self, ServiceError> {
        let sql = inner.pool.begin().await?;
        Ok(Self { inner, sql, changed: Vec::new(), narrows: false, already_so: Vec::new() })
    }

    /// Notes a change that may take something away from tokens: the commit returns when no replica
    /// lets anything pass by what was before.
    pub(crate) fn narrows(&mut self, subject: Subject) {
        self.narrows = true;
        self.widens(subject);
    }

    /// Notes a change that takes nothing away: it holds here at once, and everywhere within a lease; within
    /// a moment, for which the commit waits, where all is well.
    pub(crate) fn widens(&mut self, subject: Subject) {
        if !self.changed.contains(&subject) {
            self.changed.push(subject);
        }
    }

    /// Notes that there is nothing to be changed, because it is so already. Who made it so may still be
    /// waiting for others to hear of it, or have died: the commit forgets and waits likewise, for what it
    /// answers must be true.
    pub(crate) fn already_so(&mut self, subject: Subject) {
        self.already_so.push(subject);
    }

    /// Commits, and waits as long as need be. A failure to find out how far the others are is none:
    /// their leases end.
    pub(crate) async fn commit(mut self) -> Result<(), ServiceError> {
        if self.changed.is_empty() {
            self.sql.commit().await?;
            return match self.already_so.as_slice() {
                [] => Ok(()),
                subjects => self.inner.already_so(subjects).await,
            };
        }
        let now: OffsetDateTime = self.inner.clock.now();
        let (kinds, subjects): (Vec<_>, Vec<_>) =
            self.changed.iter().map(|subject| (subject.kind().to_owned(), subject.id())).unzip();
        let revision = revisions::insert(&mut self.sql, &kinds, &subjects, now).await?;
        let committed = self.sql.commit().await;
        // An answer that was lost may have been "committed".
        self.inner.cache.forget(&self.changed);
        self.inner.cache.forget(&self.already_so);
        committed?;
        // Revisions are applied in their order: whoever has this one has what made something so before.
        if self.narrows || !self.already_so.is_empty() {
            self.inner.settle(revision).await;
        } else {
            self.inner.tell(revision).await;
        }
        Ok(())
    }

    /// Takes everything back.
    pub(crate) async fn rollback(self) -> Result<(), ServiceError> {
        Ok(self.sql.rollback().await?)
    }
}

impl Deref for Transaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.sql
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.sql
    }
}
