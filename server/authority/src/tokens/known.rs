//! Somebody loses rights: tokens whose secrets they may know do not give those back.
//!
//! A token may act as somebody else, and its secret be with the person who loses the rights: they made it, rotated it or
//! were shown it. If it holds a scope by which its holder makes tokens, gets their secrets or lets people in
//! ([`RETURNING`]), or verifies as an owner or administrator of the instance, and the person could not grant that scope any more, it is disabled. Tokens that only call other APIs
//! stay.
//!
//! The change of the person waits for no token: it is one short transaction, which also notes what is to be disabled. The
//! tokens follow in portions, and the answer waits for them. If the server ends before, another one goes on by the note.
//! While the note stands, none of these tokens changes tokens or members ([`is_being_disabled`]), so that nobody returns by
//! one of them.

use std::{pin::pin, str::FromStr, time::Duration};

use domain::ids::{TokenId, UserId, WorkspaceId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::portions::{By, by_workspace};
use crate::{
    Actor, Authority, OpContext, ServiceError,
    access::Tenant,
    authority::Inner,
    replicas::Transaction,
    store::{
        StoreError, descendants,
        secret_holders::{self, Sought},
        secret_stops::{self as store, SecretStop},
    },
};

pub(crate) use crate::store::secret_stops::Of;

/// The scopes of `tessera` by which the holder of a secret comes back, or makes other secrets.
const RETURNING: [&str; 3] = ["tokens:write", "tokens:reveal", "members:write"];
/// How long the background task works for one workspace of a note before the next one has its turn: longer than it waits for
/// a lock, whose queue is fair.
const TURN: Duration = Duration::from_secs(12);
/// How often a search says that it goes on.
const KEEP: Duration = Duration::from_secs(5);

/// The choice about the secrets that a person may know who loses rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownSecrets {
    /// Tokens by which the person could come back are disabled. Passwords that they gave to other administrators of the
    /// instance end, if they may not set those any more.
    #[default]
    Disable,
    /// They stay as they are. Only another person and the command line can choose that.
    Keep,
}

impl KnownSecrets {
    /// Refuses to keep the secrets to the person who loses the rights, and to all tokens: the person may know the secret of
    /// the one that asks, whoever it acts as.
    ///
    /// # Errors
    /// `Invalid` with the field `known_secrets`.
    pub(crate) fn check_chooser(self, ctx: &OpContext, user: UserId) -> Result<(), ServiceError> {
        let message = match &ctx.actor {
            _ if self == Self::Disable => return Ok(()),
            Actor::Operator => return Ok(()),
            Actor::User(visitor) if visitor.user.id != user => return Ok(()),
            Actor::User(_) => {
                "must be disable: you lose these rights yourself. Another administrator can keep the tokens"
            }
            _ => {
                "must be disable: a token cannot keep the tokens. An administrator who is signed in can, and so can the command line"
            }
        };
        Err(ServiceError::invalid("known_secrets", message))
    }
}

impl FromStr for KnownSecrets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "keep" => Ok(Self::Keep),
            _ => Err("must be disable or keep".to_owned()),
        }
    }
}

/// Notes that exposed tokens are to be disabled, in the transaction that takes the rights away. The caller disables them
/// after its commit, with [`Inner::disable_noted`].
pub(crate) async fn note(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    of: Of,
    workspace: Option<WorkspaceId>,
) -> Result<SecretStop, ServiceError> {
    let By { user, author } = By::of(ctx);
    let stop = SecretStop { id: transaction.uuid(ctx.now), workspace, of, by: user, author };
    store::insert(transaction, &stop).await?;
    Ok(stop)
}

/// Returns what a note seeks.
fn sought<'a>(stop: &SecretStop, scopes: &'a [String]) -> Sought<'a> {
    let sought = Sought { workspace: stop.workspace, enabled: true, ..Sought::default() };
    match stop.of {
        Of::KnownTo(user) => Sought { known_to: Some(user), scopes: Some(scopes), ..sought },
        Of::ActingAs(user) => Sought { user: Some(user), for_managers: true, ..sought },
    }
}

fn returning() -> Vec<String> {
    RETURNING.map(ToOwned::to_owned).to_vec()
}

/// Reports whether a note says that this token is to be disabled. The caller holds the lock of changes by tokens of the
/// workspace.
pub(crate) async fn is_being_disabled(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    token: TokenId,
    now: OffsetDateTime,
) -> Result<bool, ServiceError> {
    let ids = [token.0];
    for stop in store::in_workspace(connection, workspace).await? {
        let scopes = returning();
        let sought = Sought { ids: Some(&ids), ..sought(&stop, &scopes) };
        if !secret_holders::exposed(connection, None, &sought, now).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Authority {
    /// Disables the tokens of all notes on which no server works at present. Accounts whose passwords ended are looked at
    /// first: whose doing their tokens are depends on that.
    ///
    /// # Errors
    /// `Unavailable` without the database.
    pub async fn disable_known_secrets(&self) -> Result<(), ServiceError> {
        self.look_again_at_ended().await?;
        loop {
            let mut transaction = self.inner.begin().await?;
            let stop = store::claim(&mut transaction).await?;
            transaction.commit().await?;
            let Some(stop) = stop else { return Ok(()) };
            if let Err(error) = self.inner.disable_all(&stop, Some(TURN)).await {
                error.log("stop of tokens whose secrets are known");
                // The tokens that are disabled stay so. Other notes come first now.
                let mut connection = self.inner.connection().await?;
                store::release(&mut connection, stop.id).await?;
            }
        }
    }
}

impl Inner {
    /// Disables the tokens of a note in portions. Returns how many, when that holds everywhere.
    ///
    /// # Errors
    /// `Unfinished` when not all are disabled yet.
    pub(crate) async fn disable_noted(&self, stop: &SecretStop) -> Result<i64, ServiceError> {
        self.disable_all(stop, None).await.map_err(|error| {
            error.log("stop of tokens whose secrets are known");
            ServiceError::Unfinished
        })
    }

    /// Searches once for all workspaces, and goes through those that have such tokens one by one: what one of them has busy
    /// does not keep the tokens of others from being disabled. With `turn`, each of them has so much time. Ends with a search
    /// that finds none: a token may have made another one before it could see the note.
    async fn disable_all(
        &self,
        stop: &SecretStop,
        turn: Option<Duration>,
    ) -> Result<i64, ServiceError> {
        let epoch = self.history.epoch();
        let scopes = returning();
        let sought = sought(stop, &scopes);
        let mut disabled = 0;
        if let (None, Of::KnownTo(person)) = (stop.workspace, stop.of) {
            // What the person has under way may still make a token that the search would not find.
            self.wait_for_acts(&[person.0]).await?;
        }
        loop {
            let found = self.search_noted(stop, &sought).await?;
            if found.is_empty() {
                break;
            }
            let (before, mut failure) = (disabled, None);
            for (workspace, ids) in by_workspace(&found) {
                match self.disable_in(stop, &sought, (workspace, &ids), turn).await {
                    Ok(more) => disabled += more,
                    Err(error) => {
                        // The note stays, and this server or another one tries again.
                        tracing::error!(
                            workspace = %workspace.0,
                            note = %stop.id,
                            "tokens of this workspace are still enabled although somebody may know their secrets who lost the right to them; trying again: {error}",
                        );
                        failure = Some(error);
                    }
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
            if disabled == before {
                // Somebody else disabled them, or made their secrets worthless.
                break;
            }
        }
        let mut connection = self.connection().await?;
        store::finish(&mut connection, stop.id).await?;
        drop(connection);
        if disabled > 0 {
            // Revisions are applied in their order: a server that has the last one has them all.
            self.already_so(&[]).await?;
        }
        if self.history.epoch() != epoch {
            return Err(StoreError::away("the database's history changed during the change").into());
        }
        Ok(disabled)
    }

    /// Searches for the tokens of a note, and keeps other servers from doing the same for as long as it takes.
    async fn search_noted(
        &self,
        stop: &SecretStop,
        sought: &Sought<'_>,
    ) -> Result<Vec<(WorkspaceId, TokenId)>, ServiceError> {
        let mut connection = self.connection().await?;
        let (work, now) = (Some(&*self.work), self.instant());
        let mut search = pin!(secret_holders::exposed(&mut connection, work, sought, now));
        loop {
            match timeout(KEEP, &mut search).await {
                Ok(found) => return found,
                Err(_) => store::keep(&mut *self.connection().await?, stop.id).await?,
            }
        }
    }

    /// Disables tokens of a note in one workspace. Returns how many.
    async fn disable_in(
        &self,
        stop: &SecretStop,
        sought: &Sought<'_>,
        (workspace, ids): (WorkspaceId, &[Uuid]),
        turn: Option<Duration>,
    ) -> Result<i64, ServiceError> {
        let by = By { user: stop.by, author: stop.author.clone() };
        let sought = Sought { workspace: Some(workspace), ..*sought };
        let end = turn.map(|turn| Instant::now() + turn);
        let part = async {
            store::keep(&mut *self.connection().await?, stop.id).await?;
            // Changes that these tokens began before they could see the note.
            let mut transaction = self.begin().await?;
            let tenant = Tenant::of_stopped_token(workspace);
            descendants::wait_for_changes(&mut transaction, tenant).await?;
            transaction.rollback().await?;
            self.disable_these((&by, None), &sought, (workspace, ids), Some((stop.id, end))).await
        };
        match end {
            Some(end) => timeout_at(end, part).await.unwrap_or(Err(ServiceError::Unfinished)),
            None => part.await,
        }
    }
}

/// Returns the number of tokens that notes disabled.
pub(crate) async fn disable_all_noted(
    inner: &Inner,
    stops: &[SecretStop],
) -> Result<i64, ServiceError> {
    let mut disabled = 0;
    for stop in stops {
        disabled += inner.disable_noted(stop).await?;
    }
    Ok(disabled)
}

/// Disables tokens that act as somebody who is about to do more in a workspace, and whose secrets others may know who could
/// not grant these scopes of `tessera`. Returns how many.
pub(crate) async fn disable_before_widening(
    inner: &Inner,
    (by, ctx): (&By, &OpContext),
    wider: &Wider,
) -> Result<i64, ServiceError> {
    if wider.scopes.is_empty() {
        return Ok(0);
    }
    inner.disable_in_portions((by, ctx), &wider.sought()).await
}

/// The scopes of `tessera` that do something for a user in a workspace only after a change.
pub(crate) struct Wider {
    pub(crate) user: UserId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) scopes: Vec<String>,
}

impl Wider {
    fn sought(&self) -> Sought<'_> {
        Sought {
            user: Some(self.user),
            workspace: Some(self.workspace),
            scopes: Some(&self.scopes),
            enabled: true,
            ..Sought::default()
        }
    }

    /// Refuses the change if such a token came since they were disabled. The caller holds the end of the workspace's chain:
    /// no other one comes until the transaction ends.
    ///
    /// # Errors
    /// `Busy`.
    pub(crate) async fn check(
        &self,
        transaction: &mut Transaction<'_>,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let work = Some(&*transaction.inner().work);
        if self.scopes.is_empty()
            || secret_holders::exposed(transaction, work, &self.sought(), now).await?.is_empty()
        {
            return Ok(());
        }
        Err(ServiceError::Busy)
    }
}
