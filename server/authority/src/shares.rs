//! Shares of the pool of connections, so that a caller who asks for much keeps nobody else from the database.
//!
//! A door says for whom a request is answered ([`Holder`]). The connections of all requests of one holder are at
//! most half of the pool at a time; further ones wait, and are refused when they wait for too long. A request
//! that has a connection gets another one without waiting for its own share.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use crate::ServiceError;

/// How long a request waits for a connection of its holder's share.
const PATIENCE: Duration = Duration::from_secs(3);
/// Holders after which those that have no connection are forgotten.
const FORGET_AT: usize = 1_024;

tokio::task_local! {
    static CURRENT: Holder;
}

/// The workspace or person for whom a request is answered.
#[derive(Clone, Debug, Default)]
pub struct Holder(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    id: OnceLock<Uuid>,
    connections: AtomicUsize,
}

impl Holder {
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

    /// Does something for this holder.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

/// The shares of all holders.
pub(crate) struct Shares {
    each: usize,
    of: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
}

/// A part of a share, given back when dropped.
pub(crate) struct Share {
    holder: Option<Holder>,
    _permit: Option<OwnedSemaphorePermit>,
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
        Self { each: (connections as usize / 2).max(1), of: Mutex::default() }
    }

    /// Takes a part of the share of the current holder. Work that is for nobody known needs none.
    pub(crate) async fn take(&self) -> Result<Share, ServiceError> {
        let holder = Holder::current();
        let Some(id) = holder.id() else { return Ok(Share { holder: None, _permit: None }) };
        let permit = if holder.0.connections.load(Ordering::Relaxed) > 0 {
            None
        } else {
            let share = self.share(id);
            let permit = timeout(PATIENCE, share.acquire_owned()).await;
            Some(permit.map_err(|_| ServiceError::Busy)?.map_err(ServiceError::internal)?)
        };
        holder.0.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Share { holder: Some(holder), _permit: permit })
    }

    fn share(&self, id: Uuid) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = of.get(&id).and_then(Weak::upgrade) {
            return share;
        }
        if of.len() >= FORGET_AT {
            of.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.each));
        of.insert(id, Arc::downgrade(&share));
        share
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
}
