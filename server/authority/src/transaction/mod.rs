//! A transaction that records which cached facts it changes.
//!
//! Service methods record their changes while they run, and the commit writes them. So a single
//! place makes narrowing changes wait until they hold everywhere, and no code path can bypass it.

pub(crate) mod callers;
mod settle;

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use domain::{
    audit_action::{AuditAction, Effect},
    ids::{TokenId, UserId, WorkspaceId},
    roles::InstanceRole,
};
use futures::future::BoxFuture;
use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    ServiceError,
    kernel::Subject,
    shares::Share,
    state::Inner,
    store::{
        BEGIN, StoreError,
        callers::{self as store, Footing, Kept, Where},
        descendants::DescendantStop,
        history, revisions, users,
    },
    transaction::callers::{CHANGED, CallingPerson, CallingToken, hold},
};

/// A function that stops the descendants of a token. `tokens`, which has it, is above this module.
pub(crate) type StopDescendants =
    for<'a> fn(&'a Inner, &'a DescendantStop) -> BoxFuture<'a, Result<(), ServiceError>>;

/// An open transaction. If it is dropped without [`Self::commit`], it is rolled back.
pub(crate) struct Transaction<'a> {
    inner: &'a Inner,
    share: Share,
    /// The history in which it began.
    epoch: u64,
    sql: sqlx::Transaction<'static, Postgres>,
    changed: Vec<Subject>,
    narrows: bool,
    already_so: Vec<Subject>,
    /// The tokens that it creates.
    made: Vec<TokenId>,
    /// The tokens that it stops, and whose descendants are stopped after it.
    stops: Vec<DescendantStop>,
    /// Stops the descendants of one of them.
    stopper: Option<StopDescendants>,
    /// The person who makes the change, or as whom the calling token acts.
    person: Option<CallingPerson>,
    /// What the change rests on: the memberships of that person and the rules there.
    footing: Option<(UserId, Footing)>,
    /// Whether the rules count. They must not prevent a stop.
    rests_on_rules: bool,
    /// The token that makes the change.
    caller: Option<CallingToken>,
    /// The owners of the tokens that it creates, with their roles.
    holders: BTreeMap<UserId, InstanceRole>,
    /// The people from whom it takes something away.
    acting: Vec<Uuid>,
    /// Whether it is part of a change that waits once for all its parts.
    is_part: bool,
}

impl Inner {
    /// Begins a transaction of the server's own, or one that only reads. A change that a caller
    /// requests begins with [`Inner::begin_for`].
    pub(crate) async fn begin(&self) -> Result<Transaction<'_>, ServiceError> {
        Transaction::begin(self).await
    }
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
            stopper: None,
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

    /// Returns a new id for a row.
    pub(crate) fn uuid(&self, now: OffsetDateTime) -> Uuid {
        self.inner.uuid(now)
    }

    /// Records that an action changes this subject, with the action's effect on tokens.
    pub(crate) fn affects(&mut self, subject: Subject, action: AuditAction) {
        match action.effect() {
            Effect::Narrows => self.narrows(subject),
            Effect::Widens => self.widens(subject),
            Effect::Neutral => {}
        }
    }

    /// Records a change that may take something away from tokens. The commit returns when no
    /// replica accepts anything based on earlier facts.
    pub(crate) fn narrows(&mut self, subject: Subject) {
        self.narrows = true;
        self.widens(subject);
    }

    /// Records a change that takes nothing away. It holds here at once, and everywhere within a
    /// lease. The commit waits a moment for the other replicas, which is normally enough.
    pub(crate) fn widens(&mut self, subject: Subject) {
        if !self.changed.contains(&subject) {
            self.changed.push(subject);
        }
    }

    /// Records that the subject already is in the wanted state. The transaction that changed it may
    /// still be waiting for other replicas, or its server may have died. So the commit invalidates
    /// and waits as for a change, because its response must be true.
    pub(crate) fn already_so(&mut self, subject: Subject) {
        self.already_so.push(subject);
    }

    /// Records a token that is created. It changes no cached facts; it is remembered only so that
    /// its loss in a failover is reported.
    pub(crate) fn makes(&mut self, token: TokenId) {
        self.rests_on_rules = true;
        self.made.push(token);
    }

    /// Records that `stopper` stops the descendants of a token after this transaction. The commit
    /// waits for that, too.
    pub(crate) fn stops_descendants(&mut self, stop: DescendantStop, stopper: StopDescendants) {
        self.stops.push(stop);
        self.stopper = Some(stopper);
    }

    /// Records that this person makes the change, or that a token does so on their behalf. The
    /// commit refuses the change if they may not act any more, or if their membership of the
    /// changed workspace or the rules on which the change rests have changed by then.
    pub(crate) async fn depends_on_person(
        &mut self,
        person: CallingPerson,
    ) -> Result<(), ServiceError> {
        let user = person.user();
        self.footing = Some((user, store::footing(&mut self.sql, user).await?));
        self.person = Some(person);
        Ok(())
    }

    /// Refuses the change if the person who makes it, or as whom the calling token acts, may not
    /// act any more.
    ///
    /// # Errors
    ///
    /// Those of [`CallingPerson::check`].
    pub(crate) async fn check_person(&mut self) -> Result<(), ServiceError> {
        let Some(person) = &self.person else { return Ok(()) };
        person.check(&mut self.sql, self.inner.clock.now()).await
    }

    /// Records that the change concerns this person's own account or session, which is locked.
    /// Otherwise the commit would refuse it for taking something from the caller.
    ///
    /// # Errors
    ///
    /// Those of [`Self::check_person`], if the person makes the change.
    pub(crate) async fn changes_person(&mut self, user: UserId) -> Result<(), ServiceError> {
        if self.person.as_ref().is_some_and(|person| person.user() == user) {
            self.check_person().await?;
            self.person = None;
        }
        Ok(())
    }

    /// Records that the change takes something from these people, or from everyone who relies on
    /// the rules of the instance ([`crate::transaction::callers::RULES`]). The commit returns when all changes
    /// that they had in progress are committed or refused.
    pub(crate) fn ends_acts_of(&mut self, people: &[Uuid]) {
        self.acting.extend(people);
    }

    /// Records that the change creates or hands over tokens that act as this user. The commit
    /// refuses it if the user may not act any more, or has another role.
    pub(crate) fn acts_as(&mut self, user: UserId, role: InstanceRole) {
        self.holders.insert(user, role);
    }

    /// Records that a token makes the change. The commit refuses it if something was taken from the
    /// token by then.
    pub(crate) fn depends_on_token(&mut self, caller: CallingToken) {
        self.caller = Some(caller);
    }

    /// Records that the change concerns this token, whose row is locked: no other transaction
    /// changes the token until this one is committed.
    ///
    /// With `gives_more`, the change may give the token more than it has. Then its bounds must be
    /// unchanged, too.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` or `Forbidden` when the token itself makes the change and something was
    /// taken from it.
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

    /// Records that the change rests on the policy of the instance and of its workspace. The commit
    /// refuses it if one of them has changed by then.
    pub(crate) const fn rests_on_rules(&mut self) {
        self.rests_on_rules = true;
    }

    /// Records that the change concerns this person's own membership of a workspace, or all of
    /// their memberships. No other transaction changes it until this one is committed.
    ///
    /// # Errors
    ///
    /// `Forbidden` when the person makes the change, or a token on their behalf, and the membership
    /// has changed; the errors of [`Self::changes_token`].
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

    /// Refuses the change if something was taken from its caller. The person is locked from here
    /// until the commit.
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

    /// Refuses the change if something was taken from the token that makes it. No stop of the token
    /// can commit between this check and the commit: this transaction has held the end of its
    /// workspace's chain since it wrote the audit rows, and a stop needs that lock. The row of the
    /// token is not locked, because a stop holds it while it waits for the end of the chain.
    async fn keeps_token(&mut self) -> Result<(), ServiceError> {
        let Some(caller) = self.caller.take() else { return Ok(()) };
        caller.check(&mut self.sql, self.inner.clock.now()).await
    }

    /// Refuses the change if what it rests on has changed since it began. The audit rows are
    /// written, so the ends of their chains are locked, and no membership and no rule there can
    /// change until this transaction is committed.
    ///
    /// Changes in other workspaces do not count: their administrators must not block changes here.
    async fn keeps_footing(&mut self, wanted: Where) -> Result<(), ServiceError> {
        let Some((user, before)) = &self.footing else { return Ok(()) };
        match store::is_kept(&mut self.sql, *user, before, wanted).await? {
            Kept::NoMembership => Err(ServiceError::Forbidden(CHANGED)),
            Kept::OtherRules if self.rests_on_rules => Err(ServiceError::Busy),
            Kept::Whole | Kept::OtherRules => Ok(()),
        }
    }

    /// Commits, and waits until the change holds everywhere. If the positions of the other replicas
    /// cannot be determined, that is not an error: their leases expire.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database's history has changed meanwhile, and the change may be lost;
    /// `Unfinished` when some descendants of a token that it stops are not stopped yet.
    pub(crate) async fn commit(self) -> Result<(), ServiceError> {
        let (inner, stopper) = (self.inner, self.stopper);
        let stops = self.commit_before_descendants().await?;
        if let Some(stopper) = stopper {
            for stop in &stops {
                stopper(inner, stop).await?;
            }
        }
        Ok(())
    }

    /// Commits, as [`Self::commit`] does, but returns the descendants, which the caller must stop.
    pub(crate) async fn commit_before_descendants(
        mut self,
    ) -> Result<Vec<DescendantStop>, ServiceError> {
        let stops = std::mem::take(&mut self.stops);
        self.commit_own().await?;
        Ok(stops)
    }

    /// Commits part of a change, without waiting until it holds everywhere: the caller waits after
    /// the last part. Returns the descendants that the caller must stop.
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
            // The lost response may be "committed", even a moment later. The follower then
            // invalidates the subjects once more.
            Err(_) => inner.cache.forget(&self.changed),
        }
        inner.cache.forget(&self.already_so);
        committed?;
        // No part of a share is held while waiting for other servers.
        inner.let_acts_end(self.share, &self.acting).await;
        inner.history.note_made(revision, self.changed);
        inner.history.note_tokens(self.made);
        // Revisions are applied in order: a replica that has this one has the earlier ones.
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

    /// Checks that this transaction runs on the follower's server, and makes its commit wait for
    /// replication.
    async fn is_current(&mut self) -> Result<(), StoreError> {
        let history = &self.inner.history;
        if self.inner.is_followed() && history.mark().is_some() {
            let found = history::mark(&mut self.sql).await?;
            if !history.agrees(found.as_ref()) {
                // The pool closes this connection, and others of the same age, which may lead
                // there, too.
                history.distrust_connections();
                return Err(failover());
            }
        }
        if history.epoch() != self.epoch {
            return Err(failover());
        }
        history::let_commit_wait(&mut self.sql).await
    }

    /// Rolls everything back.
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
        Settings, clock::SystemClock, entropy::SystemEntropy, keys::Keys, state::Authority,
        store::history::Mark,
    };

    #[sqlx::test]
    async fn connection_to_another_database_server_is_closed_after_the_change(pool: PgPool) {
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
        // A task of the pool returns or closes it.
        while inner.pool.size() > 0 && inner.pool.num_idle() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(inner.pool.size(), 0, "the connection went back to the pool");
    }
}
