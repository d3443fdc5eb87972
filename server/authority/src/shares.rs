//! Shares of the pool of connections, so that a caller who asks for much keeps nobody else from the database.
//!
//! A door says for whom a request is answered ([`Holder`]). The connections of all requests of one holder are at
//! most half of the pool at a time; further ones wait, and are refused when they wait for too long. The same holds
//! for all requests that name one workspace, so that its tokens and its people have half together. All holders leave
//! a fifth to strangers, who may be signing in. A request that has a connection gets another one without waiting for
//! its own share.
//!
//! Requests of callers who are not known share half of the pool, too, and those of one address half of that. A
//! request counts as theirs until its caller is known.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
    ops::{Deref, DerefMut},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    ServiceError,
    turns::{Turn, Turns},
};

/// How long a request waits for a connection of its holder's share.
const PATIENCE: Duration = Duration::from_secs(3);

tokio::task_local! {
    static CURRENT: Holder;
}

/// The workspace or person for whom a request is answered.
#[derive(Clone, Debug, Default)]
pub struct Holder(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    id: OnceLock<Uuid>,
    /// A caller who counts as a stranger until `id` is known.
    stranger: Option<Stranger>,
    /// A hash of the workspace's name that the address of the request has.
    workspace: Option<u64>,
    connections: AtomicUsize,
}

/// Somebody who is not known, at this address if that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stranger(Option<IpAddr>);

impl Holder {
    /// Returns the holder of a request from this address, about the workspace that it names. Until somebody says who it
    /// is, it is a stranger. An IPv6 network is one address.
    pub fn about(address: Option<IpAddr>, workspace: Option<&str>) -> Self {
        let hash = |name: &str| {
            let mut hasher = DefaultHasher::new();
            name.to_ascii_lowercase().hash(&mut hasher);
            hasher.finish()
        };
        let workspace = workspace.map(hash);
        Self(Arc::new(Request {
            stranger: Some(Stranger(address)),
            workspace,
            ..Request::default()
        }))
    }

    /// Returns the holder of the request that this task answers; a new one, who is not known, elsewhere.
    pub fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// Notes who it is. The first one stays.
    pub fn identify(&self, id: Uuid) {
        let _ = self.0.id.set(id);
    }

    /// Returns who it is, if that is known.
    pub fn id(&self) -> Option<Uuid> {
        self.0.id.get().copied()
    }

    /// Does something in a task of its own, for the holder of this request. It goes on when the caller hangs up.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        work: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, ServiceError> {
        match tokio::spawn(Self::current().scope(work).in_current_span()).await {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The server is going down.
                Err(_) => Err(ServiceError::Busy),
            },
        }
    }

    /// Does something for this holder.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

/// The shares of all holders, and of strangers.
pub(crate) struct Shares {
    holders: Turns<Uuid>,
    workspaces: Turns<u64>,
    /// The connections of all holders together.
    known: Arc<Semaphore>,
    strangers: Turns<Stranger>,
}

/// A part of a share, given back when dropped.
pub(crate) struct Share {
    holder: Option<Holder>,
    _waited: Option<Waited>,
}

/// The turns of a request.
struct Waited {
    _turns: [Option<Turn>; 2],
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            holder.0.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Shares {
    /// Shares of a pool of so many connections.
    pub(crate) fn new(connections: u32) -> Self {
        let all = connections as usize;
        let half = all / 2;
        Self {
            holders: Turns::for_each(half),
            known: Arc::new(Semaphore::new((all - all / 5).max(1))),
            workspaces: Turns::for_each(half),
            strangers: Turns::new(half, half / 2),
        }
    }

    /// Takes a part of the share of the current holder. Work of the server's own needs none.
    pub(crate) async fn take(&self) -> Result<Share, ServiceError> {
        let holder = Holder::current();
        let id = holder.id();
        if id.is_none() && holder.0.stranger.is_none() {
            return Ok(Share { holder: None, _waited: None });
        }
        let waited = if holder.0.connections.load(Ordering::Relaxed) > 0 {
            None
        } else {
            let waited = timeout(PATIENCE, self.wait(&holder)).await;
            Some(waited.ok().flatten().ok_or(ServiceError::Busy)?)
        };
        holder.0.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Share { holder: Some(holder), _waited: waited })
    }

    /// Waits in the line of the holder, in that of the workspace, and in that of all: nobody waits for their own turns
    /// with a turn of others. Returns `None` when too many wait already.
    async fn wait(&self, holder: &Holder) -> Option<Waited> {
        let Some(id) = holder.id() else {
            let stranger = self.strangers.take(holder.0.stranger?).await?;
            return Some(Waited { _turns: [Some(stranger), None], _of_all: None });
        };
        let own = self.holders.take(id).await?;
        let workspace = match holder.0.workspace {
            Some(workspace) => Some(self.workspaces.take(workspace).await?),
            None => None,
        };
        let of_all = Arc::clone(&self.known).acquire_owned().await.ok()?;
        Some(Waited { _turns: [Some(own), workspace], _of_all: Some(of_all) })
    }
}

/// A connection of the pool, with the part of a share that it takes.
pub(crate) struct Shared {
    connection: PoolConnection<Postgres>,
    _share: Share,
}

impl Shared {
    pub(crate) fn new(connection: PoolConnection<Postgres>, share: Share) -> Self {
        Self { connection, _share: share }
    }
}

impl Deref for Shared {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn holder(id: u128) -> Holder {
        let holder = Holder::default();
        holder.identify(Uuid::from_u128(id));
        holder
    }

    #[tokio::test]
    async fn holder_has_half_and_leaves_the_rest_to_others() {
        let shares = Shares::new(4);
        let first = holder(1).scope(shares.take()).await.unwrap();
        let _second = holder(1).scope(shares.take()).await.unwrap();
        let third = holder(1).scope(shares.take()).await;
        assert!(matches!(third, Err(ServiceError::Busy)));
        holder(2).scope(shares.take()).await.unwrap();
        shares.take().await.unwrap();
        drop(first);
        holder(1).scope(shares.take()).await.unwrap();
    }

    #[tokio::test]
    async fn request_that_has_a_connection_gets_another_at_once() {
        let shares = Shares::new(2);
        let request = holder(1);
        let first = request.clone().scope(shares.take()).await.unwrap();
        let second = request.clone().scope(shares.take()).await.unwrap();
        assert!(holder(1).scope(shares.take()).await.is_err());
        drop((first, second));
        assert!(holder(1).scope(shares.take()).await.is_ok());
    }

    #[tokio::test]
    async fn strangers_share_half_and_an_address_has_half_of_that() {
        let shares = Shares::new(8);
        let from = |host: u8| Holder::about(Some([192, 0, 2, host].into()), None);
        let mut taken = Vec::new();
        for host in [1, 1, 2, 2] {
            taken.push(from(host).scope(shares.take()).await.unwrap());
        }
        let waits = |host| from(host).scope(shares.take()).now_or_never().is_none();
        assert!(waits(1) && waits(3));
        // A known caller takes nothing of it, and waits for nobody.
        let known = from(1);
        known.identify(Uuid::from_u128(1));
        known.scope(shares.take()).await.unwrap();
        shares.take().await.unwrap();
        taken.pop();
        assert!(waits(1), "the address has its part");
        from(3).scope(shares.take()).await.unwrap();
    }

    #[tokio::test]
    async fn all_who_ask_about_one_workspace_have_half_together() {
        let shares = Shares::new(10);
        let about = |id: u128, workspace: &str| {
            let holder = Holder::about(None, Some(workspace));
            holder.identify(Uuid::from_u128(id));
            holder
        };
        let mut taken = Vec::new();
        for id in [1, 1, 1, 2, 2] {
            taken.push(about(id, "one").scope(shares.take()).await.unwrap());
        }
        for (id, name) in [(1, "one"), (2, "one"), (3, "ONE")] {
            assert!(about(id, name).scope(shares.take()).now_or_never().is_none(), "{id}");
        }
        taken.push(about(3, "other").scope(shares.take()).await.unwrap());
        // Somebody can sign in, however many holders there are.
        for id in [4, 5] {
            taken.push(holder(id).scope(shares.take()).await.unwrap());
        }
        assert!(holder(6).scope(shares.take()).now_or_never().is_none());
        Holder::about(None, None).scope(shares.take()).await.unwrap();
    }
}
