//! Keeps a person who loses rights from regaining them with tokens whose secrets they may know.
//!
//! A token may act as one user while another person knows its secret, because they created it,
//! rotated it or were shown it. When that person loses rights, the token is disabled if it holds a
//! scope that the person could no longer grant, and with which they could create tokens, get the
//! secrets of tokens or add members ([`store::RETURNING`]), or verify tokens as an owner or administrator
//! of the instance. Tokens that only call other APIs stay enabled.
//!
//! The change to the person waits for no token: it is one short transaction, which also records a
//! note of what is to be disabled. The tokens follow in portions, and the response waits for them.
//! If the server stops first, another one continues from the note. While the note exists, none of
//! these tokens can change tokens or members (`access/stopping.rs`), so the person cannot return with
//! one of them.

use std::{pin::pin, str::FromStr, time::Duration};

use domain::ids::{TokenId, UserId, WorkspaceId};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::portions::{By, by_workspace};
use crate::{
    Actor, OpContext, ServiceError,
    kernel::Tenant,
    state::{Authority, Inner},
    store::{
        StoreError, descendants,
        secret_holders::{self, Sought},
        secret_stops::{self as store, SecretStop, returning},
    },
    transaction::Transaction,
};

pub(crate) use crate::store::secret_stops::Of;

/// How long the background task works on one workspace of a note before it turns to the next one.
/// It is longer than the wait for a lock, whose queue is fair.
const TURN: Duration = Duration::from_secs(12);
/// How often a search reports that it is still running.
const KEEP: Duration = Duration::from_secs(5);

/// The choice about the secrets that a person who loses rights may know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownSecrets {
    /// Disables tokens with which the person could return, and expires passwords that they gave to
    /// other administrators of the instance, if they may no longer set those.
    #[default]
    Disable,
    /// Leaves them as they are. Only another person and the command line can choose this.
    Keep,
}

impl KnownSecrets {
    /// Refuses to keep the secrets if the caller is the person who loses the rights, or any token:
    /// the person may know the secret of the calling token, whichever user it acts as.
    ///
    /// # Errors
    /// `Invalid` with the field `known_secrets`.
    pub(crate) fn check_chooser(self, ctx: &OpContext, user: UserId) -> Result<(), ServiceError> {
        let message = match &ctx.actor {
            _ if self == Self::Disable => return Ok(()),
            Actor::Operator => return Ok(()),
            Actor::User(visitor) if visitor.user.id != user => return Ok(()),
            Actor::User(_) => {
                "must be disable: you are removing your own rights. Another administrator can keep the tokens"
            }
            _ => {
                "must be disable: a token cannot keep the tokens. A signed-in administrator or the command line can"
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

/// Notes that exposed tokens are to be disabled, in the transaction that takes the rights away. The
/// caller disables them after its commit, with [`Inner::disable_noted`].
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

impl Authority {
    /// Disables the tokens of all notes that no other server is working on. First re-checks the
    /// accounts whose passwords were expired, because the attribution of their tokens depends
    /// on that.
    ///
    /// # Errors
    /// `Unavailable` if the database cannot be reached.
    #[tracing::instrument(skip_all, fields(noun = "background", verb = "disable_known_secrets"))]
    pub async fn disable_known_secrets(&self) -> Result<(), ServiceError> {
        self.look_again_at_ended().await?;
        loop {
            let mut transaction = self.inner.begin().await?;
            let stop = store::claim(&mut transaction).await?;
            transaction.commit().await?;
            let Some(stop) = stop else { return Ok(()) };
            if let Err(error) = self.inner.disable_all(&stop, Some(TURN)).await {
                error.log("disabling tokens with known secrets");
                // The disabled tokens stay disabled. Other notes have precedence now.
                let mut connection = self.inner.connection().await?;
                store::release(&mut connection, stop.id).await?;
            }
        }
    }
}

impl Inner {
    /// Disables the tokens of a note in portions. Returns how many it disabled, when all replicas
    /// have applied that.
    ///
    /// # Errors
    /// `Unfinished` if some of them are not disabled yet.
    pub(crate) async fn disable_noted(&self, stop: &SecretStop) -> Result<i64, ServiceError> {
        self.disable_all(stop, None).await.map_err(|error| {
            error.log("disabling tokens with known secrets");
            ServiceError::Unfinished
        })
    }

    /// Disables all tokens of a note. Searches all workspaces once and then handles the workspaces
    /// with such tokens one by one, so that a busy workspace doesn't keep the tokens of others
    /// enabled. With `turn`, each workspace has that much time. Repeats until a search finds none,
    /// because a token may have created another one before it could see the note.
    async fn disable_all(
        &self,
        stop: &SecretStop,
        turn: Option<Duration>,
    ) -> Result<i64, ServiceError> {
        let epoch = self.history.epoch();
        let scopes = returning();
        let sought = stop.sought(&scopes);
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
                        // The note remains, so this server or another one retries.
                        tracing::error!(
                            workspace = %workspace.0,
                            note = %stop.id,
                            "tokens of this workspace are still enabled although a person who lost the right to them may know their secrets; retrying: {error}",
                        );
                        failure = Some(error);
                    }
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
            if disabled == before {
                // The remaining tokens were disabled by another caller, or their secrets no
                // longer work.
                break;
            }
        }
        let mut connection = self.connection().await?;
        store::finish(&mut connection, stop.id).await?;
        drop(connection);
        if disabled > 0 {
            // Replicas apply revisions in order, so a replica that has the last one has all
            // of them.
            self.already_so(&[]).await?;
        }
        if self.history.epoch() != epoch {
            return Err(StoreError::away("the database's history changed during the change").into());
        }
        Ok(disabled)
    }

    /// Searches for the tokens of a note, and keeps other servers from working on the
    /// note meanwhile.
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
            // Wait for changes that these tokens began before they could see the note.
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

/// Disables the tokens of several notes. Returns how many it disabled.
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

/// Disables tokens of a user who is about to get more rights in a workspace, if their secrets may
/// be known to people who could not grant these scopes of `tessera`. Returns how many it disabled.
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

/// The scopes of `tessera` that have an effect for a user in a workspace only after a change.
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

    /// Refuses the change if another such token appeared since they were disabled. The caller holds
    /// the end of the workspace's audit chain, so no more can appear until the transaction ends.
    ///
    /// # Errors
    /// `Busy` if there is such a token.
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
