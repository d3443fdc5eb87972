//! The handle through which the surfaces call the services.

use time::OffsetDateTime;

use crate::{
    AuditLog, Catalogues, Idempotency, Invitations, Passwords, Policies, Replicas, ServiceError,
    Sessions, Setup, Tokens, Transfer, Users, Verification, Workspaces, audit, counters::Counters,
    state::Authority, store,
};

/// How many tokens' old audit rows, written by version 0.1, are read in one transaction.
const OLD_LOG_AT_ONCE: i64 = 20;

impl Authority {
    /// Migrates the schema to this build, writes the rows that every instance has, and begins the
    /// audit log. Several servers may do so at once. If the schema is up to date, it is not
    /// touched, so that a role without DDL privileges can serve.
    pub async fn migrate(&self) -> Result<(), ServiceError> {
        self.migrate_tables().await?;
        self.begin_log().await
    }

    /// Migrates the schema to this build, and writes the rows that every instance has, as far as
    /// that needs no keys.
    pub async fn migrate_tables(&self) -> Result<(), ServiceError> {
        if self.pending_migrations().await? > 0 {
            store::database::migrate(&self.inner.pool.connect_options()).await?;
        }
        self.read_old_log().await?;
        self.tokens().read_all().await?;
        let mut transaction = self.inner.begin().await?;
        let now = self.inner.clock.now();
        self.catalogues().seed(&mut transaction, now).await?;
        store::addresses::fold(&mut transaction).await?;
        transaction.commit().await?;
        self.learn_imports().await
    }

    /// Reads the audit rows about tokens that version 0.1 wrote, a few tokens in each transaction:
    /// servers of 0.1 that still run may change the other tokens meanwhile.
    async fn read_old_log(&self) -> Result<(), ServiceError> {
        loop {
            let mut transaction = self.inner.begin().await?;
            let read = store::old_log::read_some(&mut transaction, OLD_LOG_AT_ONCE).await?;
            transaction.commit().await?;
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Begins the audit log, and chains rows from the time before it had chains.
    ///
    /// # Errors
    ///
    /// `Internal` when the keys are not those of this database.
    pub async fn begin_log(&self) -> Result<(), ServiceError> {
        let mut transaction = self.inner.begin().await?;
        self.inner.check_keys(&mut transaction).await?;
        audit::adopt(&mut transaction, &self.inner.keys).await?;
        transaction.commit().await
    }

    /// Checks for problems that don't go away by waiting: a pooler's mode, the database's encoding,
    /// read-only defaults, another schema.
    ///
    /// # Errors
    ///
    /// `Internal` with a [`store::DatabaseProblem`], whose text names the remedy.
    pub async fn check_database(&self) -> Result<(), ServiceError> {
        // First, because behind such a pooler other checks may fail with less helpful errors.
        store::database::check_pooler(&self.inner.pool.connect_options()).await?;
        let mut connection = self.inner.connection().await?;
        store::database::check(&mut connection).await
    }

    /// Returns the database's clock, to compare it with the machine's.
    pub async fn database_time(&self) -> Result<OffsetDateTime, ServiceError> {
        let mut connection = self.inner.connection().await?;
        Ok(store::database_time(&mut connection).await?)
    }

    /// Writes pending uses and closes the pool.
    pub async fn close(&self) {
        self.flush_usage().await;
        self.close_refusals().await;
        self.inner.pool.close().await;
        self.inner.loader.close().await;
    }

    /// First start: the one-time link and the set-up behind it.
    pub fn setup(&self) -> Setup<'_> {
        Setup { inner: &self.inner }
    }

    /// Signing in and out.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions { inner: &self.inner }
    }

    /// Passwords of people.
    pub fn passwords(&self) -> Passwords<'_> {
        Passwords { inner: &self.inner }
    }

    /// Workspaces and their members.
    pub fn workspaces(&self) -> Workspaces<'_> {
        Workspaces { inner: &self.inner }
    }

    /// Invitations to workspaces.
    pub fn invitations(&self) -> Invitations<'_> {
        Invitations { inner: &self.inner }
    }

    /// Policies and presets.
    pub fn policies(&self) -> Policies<'_> {
        Policies { inner: &self.inner }
    }

    /// The users of the instance.
    pub fn users(&self) -> Users<'_> {
        Users { inner: &self.inner }
    }

    /// Tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { inner: &self.inner }
    }

    /// Audiences and their scopes.
    pub fn catalogues(&self) -> Catalogues<'_> {
        Catalogues { inner: &self.inner }
    }

    /// "May this token do this?"
    pub fn verification(&self) -> Verification<'_> {
        Verification { inner: &self.inner }
    }

    /// Requests that may be repeated.
    pub fn idempotency(&self) -> Idempotency<'_> {
        Idempotency { inner: &self.inner }
    }

    /// Tokens from and for other systems.
    pub fn transfer(&self) -> Transfer<'_> {
        Transfer { inner: &self.inner }
    }

    /// The servers of this instance.
    pub fn replicas(&self) -> Replicas<'_> {
        Replicas { inner: &self.inner }
    }

    /// What this server has counted since it started.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// The audit log.
    pub fn audit(&self) -> AuditLog<'_> {
        AuditLog { inner: &self.inner }
    }
}
