//! A transaction that says what it changes of what replicas keep.
//!
//! What a service method changes is noted while it runs and written by the commit: so there is one place
//! where a narrowing change waits until it holds everywhere, and no way around it.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use domain::{
    ids::{TokenId, UserId, WorkspaceId},
    roles::InstanceRole,
};
use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    ServiceError,
    authority::Inner,
    callers::{CHANGED, CallingPerson, CallingToken, hold},
    shares::Share,
    store::{
        BEGIN, StoreError,
        callers::{self, Footing, Kept, Where},
        descendants::DescendantStop,
        history, revisions, users,
    },
    verification::Subject,
};

/// An open transaction. Dropped without [`Self::commit`] it is rolled back.
pub(crate) struct Transaction<'a> {
    inner: &'a Inner,
    share: Share,
    /// The history that it began in.
    epoch: u64,
    sql: sqlx::Transaction<'static, Postgres>,
    changed: Vec<Subject>,
    narrows: bool,
    already_so: Vec<Subject>,
    /// Tokens that it makes.
    made: Vec<TokenId>,
    /// Tokens that it stops, and whose descendants are stopped after it.
    stops: Vec<DescendantStop>,
    /// The person who makes the change, or for whom a token does.
    person: Option<CallingPerson>,
    /// What it rests on: the memberships of that person and the rules there.
    footing: Option<(UserId, Footing)>,
    /// Whether the rules count. They must not hinder a stop.
    rests_on_rules: bool,
    /// The token that makes the change.
    caller: Option<CallingToken>,
    /// The users that tokens act as which it makes, with their roles.
    holders: BTreeMap<UserId, InstanceRole>,
    /// Those from whom it takes something.
    acting: Vec<Uuid>,
    /// Whether it is a part of a change that waits once for all its parts.
    is_part: bool,
}

impl<'a> Transaction<'a> {
    pub(crate) async fn begin(inner: &'a Inner) -> Result<Self, ServiceError> {
        inner.lease().await?;
        let epoch = inner.history.epoch();
        let share = inner.share().await?;
        inner.follower_first().await?;
        let sql = inner.pool.begin_with(BEGIN).await.map_err(|error| {
            let error = StoreError::of_beginning(error);
            if error.is_of_standby() {
                inner.history.distrust_connections();
            }
            error
        })?;
        Ok(Self {
            inner,
            share,
            epoch,
            sql,
            changed: Vec::new(),
            narrows: false,
            already_so: Vec::new(),
            made: Vec::new(),
            stops: Vec::new(),
            person: None,
            footing: None,
            rests_on_rules: false,
            caller: None,
            holders: BTreeMap::new(),
            acting: Vec::new(),
            is_part: false,
        })
    }

    /// Returns the server that makes the change.
    pub(crate) const fn inner(&self) -> &'a Inner {
        self.inner
    }

    /// Makes an id for a row.
    pub(crate) fn uuid(&self, now: OffsetDateTime) -> Uuid {
        self.inner.uuid(now)
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

    /// Notes a token that is made. It changes nothing that anybody keeps; it is remembered only so that a failover
    /// that loses it is reported.
    pub(crate) fn makes(&mut self, token: TokenId) {
        self.rests_on_rules = true;
        self.made.push(token);
    }

    /// Notes that the descendants of a token are stopped after this transaction. The commit waits for that, too.
    pub(crate) fn stops_descendants(&mut self, stop: DescendantStop) {
        self.stops.push(stop);
    }

    /// Notes that this person makes the change, or that a token does for them. The commit refuses it when they may not act
    /// any more, when their membership of the workspace that it changes is another one by then, or the rules are on which it
    /// rests.
    pub(crate) async fn depends_on_person(
        &mut self,
        person: CallingPerson,
    ) -> Result<(), ServiceError> {
        let user = person.user();
        self.footing = Some((user, callers::footing(&mut self.sql, user).await?));
        self.person = Some(person);
        Ok(())
    }

    /// Refuses the change when the person may not act any more who makes it, or for whom a token does.
    ///
    /// # Errors
    /// Those of [`CallingPerson::check`].
    pub(crate) async fn check_person(&mut self) -> Result<(), ServiceError> {
        let Some(person) = &self.person else { return Ok(()) };
        person.check(&mut self.sql, self.inner.clock.now()).await
    }

    /// Notes that the change is one of this person's own account or session, which is locked. Otherwise the commit would
    /// refuse it, because it takes something from the caller.
    ///
    /// # Errors
    /// Those of [`Self::check_person`], when the person makes the change.
    pub(crate) async fn changes_person(&mut self, user: UserId) -> Result<(), ServiceError> {
        if self.person.as_ref().is_some_and(|person| person.user() == user) {
            self.check_person().await?;
            self.person = None;
        }
        Ok(())
    }

    /// Notes that the change takes something from these people, or from all who rest on the rules of the instance
    /// ([`crate::callers::RULES`]). The commit returns when all that they were doing is committed or refused.
    pub(crate) fn ends_acts_of(&mut self, people: &[Uuid]) {
        self.acting.extend(people);
    }

    /// Notes that tokens act as a user whom it makes, or hands over. The commit refuses it when the user may not act any more,
    /// or has another role.
    pub(crate) fn acts_as(&mut self, user: UserId, role: InstanceRole) {
        self.holders.insert(user, role);
    }

    /// Notes that a token makes the change. The commit refuses it when something was taken from the token by then.
    pub(crate) fn depends_on_token(&mut self, caller: CallingToken) {
        self.caller = Some(caller);
    }

    /// Notes that the change is one of this token, whose row is locked: nobody else changes the token until this is
    /// committed.
    ///
    /// With `gives_more`, the change may give the token more than it has: then its bounds must be those that it had, too.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden` when the token makes the change itself, and something was taken from it.
    pub(crate) async fn changes_token(
        &mut self,
        token: TokenId,
        gives_more: bool,
    ) -> Result<(), ServiceError> {
        let Some(caller) = self.caller.take_if(|caller| caller.is(token)) else { return Ok(()) };
        let now = self.inner.clock.now();
        if gives_more {
            caller.check(&mut self.sql, now).await
        } else {
            caller.check_use(&mut self.sql, now).await.map(drop)
        }
    }

    /// Notes that the change rests on the policy of the instance and of its workspace. The commit refuses it when one of
    /// them is another one by then.
    pub(crate) const fn rests_on_rules(&mut self) {
        self.rests_on_rules = true;
    }

    /// Notes that the change is one of this person's own membership of a workspace, or of all of them. Nobody else changes it
    /// until it is committed.
    ///
    /// # Errors
    /// `Forbidden` when the person makes the change, or a token for them, and the membership is not what it was;
    /// the errors of [`Self::changes_token`].
    pub(crate) async fn changes_membership_of(
        &mut self,
        user: UserId,
        workspace: Option<WorkspaceId>,
    ) -> Result<(), ServiceError> {
        if self.footing.as_ref().is_some_and(|(by, _)| *by == user) {
            let wanted = workspace.map_or(Where::Everywhere, |workspace| Where::In(workspace.0));
            self.keeps_footing(wanted).await?;
            match (&mut self.footing, workspace) {
                (Some((_, footing)), Some(workspace)) => footing.forget(workspace.0),
                (footing, _) => *footing = None,
            }
        }
        if let Some(caller) = self.caller.take_if(|caller| caller.acts_for(user)) {
            caller.check(&mut self.sql, self.inner.clock.now()).await?;
        }
        Ok(())
    }

    /// Refuses the change when something was taken from its caller. The person is held from here on until the commit.
    async fn keeps_caller(&mut self) -> Result<(), ServiceError> {
        let person = self.person.as_ref().map(CallingPerson::user);
        let rests_on_rules = self.rests_on_rules && self.footing.is_some();
        let people = self.holders.keys().copied().chain(person);
        hold(&mut self.sql, people, rests_on_rules).await?;
        for (user, role) in &self.holders {
            let found = users::by_id(&mut self.sql, *user).await?;
            if !found.is_some_and(|found| found.enabled && found.instance_role == *role) {
                return Err(ServiceError::Forbidden(CHANGED));
            }
        }
        self.check_person().await?;
        self.keeps_footing(Where::Written).await?;
        self.keeps_token().await
    }

    /// Refuses the change when something was taken from the token that makes it. No stop of the token is committed
    /// between this and the commit: the end of its workspace's chain is held since the audit rows were written, and a
    /// stop needs it. The row of the token is not locked, because a stop holds it while it waits for that end.
    async fn keeps_token(&mut self) -> Result<(), ServiceError> {
        let Some(caller) = self.caller.take() else { return Ok(()) };
        caller.check(&mut self.sql, self.inner.clock.now()).await
    }

    /// Refuses the change when what it rests on was changed since it began. The audit rows were written: their chains'
    /// ends are held, so that no membership and no rule there changes until this is committed.
    ///
    /// Changes in other workspaces do not count: their administrators must not hinder changes here.
    async fn keeps_footing(&mut self, wanted: Where) -> Result<(), ServiceError> {
        let Some((user, before)) = &self.footing else { return Ok(()) };
        match callers::is_kept(&mut self.sql, *user, before, wanted).await? {
            Kept::NoMembership => Err(ServiceError::Forbidden(CHANGED)),
            Kept::OtherRules if self.rests_on_rules => Err(ServiceError::Busy),
            Kept::Whole | Kept::OtherRules => Ok(()),
        }
    }

    /// Commits, and waits until the change holds everywhere. That it cannot be found out how far the others
    /// are is not an error: their leases end.
    ///
    /// # Errors
    /// `Unavailable` when the database's history has changed meanwhile, and the change may be lost; `Unfinished` when
    /// not all descendants of a token that it stops are stopped yet.
    pub(crate) async fn commit(self) -> Result<(), ServiceError> {
        let inner = self.inner;
        for stop in self.commit_before_descendants().await? {
            Box::pin(inner.stop_descendants(&stop)).await?;
        }
        Ok(())
    }

    /// The same, but leaves it to the caller to stop the descendants, which it returns.
    pub(crate) async fn commit_before_descendants(
        mut self,
    ) -> Result<Vec<DescendantStop>, ServiceError> {
        let stops = std::mem::take(&mut self.stops);
        self.commit_own().await?;
        Ok(stops)
    }

    /// Commits a part of a change, without waiting until it holds everywhere: the caller waits after the last part.
    /// Returns the descendants that the caller must stop.
    pub(crate) async fn commit_part(mut self) -> Result<Vec<DescendantStop>, ServiceError> {
        self.is_part = true;
        self.commit_before_descendants().await
    }

    async fn commit_own(mut self) -> Result<(), ServiceError> {
        let inner = self.inner;
        self.keeps_caller().await?;
        if self.changed.is_empty() {
            self.is_current().await?;
            self.sql.commit().await?;
            inner.let_acts_end(self.share, &self.acting).await;
            inner.history.note_tokens(self.made);
            if inner.history.epoch() != self.epoch {
                return Err(failover().into());
            }
            return match self.already_so.as_slice() {
                [] => Ok(()),
                subjects => inner.already_so(subjects).await,
            };
        }
        let now: OffsetDateTime = inner.clock.now();
        let (kinds, subjects): (Vec<_>, Vec<_>) =
            self.changed.iter().map(|subject| (subject.kind().to_owned(), subject.id())).unzip();
        let (revision, revisions) =
            revisions::insert(&mut self.sql, &kinds, &subjects, now).await?;
        self.is_current().await?;
        let committed = self.sql.commit().await;
        match &committed {
            Ok(()) => inner.cache.forget_own(&self.changed, &revisions),
            // The answer that was lost may be "committed", also a moment later: then the follower forgets it once more.
            Err(_) => inner.cache.forget(&self.changed),
        }
        inner.cache.forget(&self.already_so);
        committed?;
        // Nobody waits for other servers with a part of a share.
        inner.let_acts_end(self.share, &self.acting).await;
        inner.history.note_made(revision, self.changed);
        inner.history.note_tokens(self.made);
        // Revisions are applied in their order: a replica that has this one has the earlier ones.
        if self.is_part {
            // Waited for later.
        } else if self.narrows || !self.already_so.is_empty() {
            inner.settle(revision.0).await;
        } else {
            inner.tell(revision.0).await;
        }
        if inner.history.epoch() != self.epoch {
            inner.is_kept(revision).await?;
        }
        Ok(())
    }

    /// Makes sure that this transaction runs where the follower is, and that its commit waits for as long as
    /// replication takes.
    async fn is_current(&mut self) -> Result<(), StoreError> {
        let history = &self.inner.history;
        if self.inner.is_followed() && history.mark().is_some() {
            let found = history::mark(&mut self.sql).await?;
            if !history.agrees(found.as_ref()) {
                // The pool closes this connection, and others from its time, which may lead there, too.
                history.distrust_connections();
                return Err(failover());
            }
        }
        if history.epoch() != self.epoch {
            return Err(failover());
        }
        history::let_commit_wait(&mut self.sql).await
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

fn failover() -> StoreError {
    StoreError::away("the database's history changed during the change")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use sqlx::{PgPool, postgres::PgPoolOptions};

    use super::*;
    use crate::{
        Authority, Settings, clock::SystemClock, entropy::SystemEntropy, keys::Keys,
        store::history::Mark,
    };

    #[sqlx::test]
    async fn connection_that_leads_to_another_server_is_closed_after_the_change(pool: PgPool) {
        let here = history::mark(&mut pool.acquire().await.unwrap()).await.unwrap().unwrap();
        let options = pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let keys = Keys::generate(entropy.as_ref());
        let authority = Authority::new(pool, keys, clock, entropy, Settings::default());
        let inner = &authority.inner;
        let transaction = inner.begin().await.unwrap();
        let _followed = inner.replica.followed();
        inner.history.learn(Some(&Mark { timeline: "0000000F".into(), ..here }));
        let refused = transaction.commit().await;
        assert!(matches!(refused, Err(ServiceError::Unavailable(_))), "{refused:?}");
        // It is given back, or closed, by a task of the pool.
        while inner.pool.size() > 0 && inner.pool.num_idle() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(inner.pool.size(), 0, "the next change gets the connection");
    }
}
