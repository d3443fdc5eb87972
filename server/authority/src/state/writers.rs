//! Limits how many requests write the consequences of verifications at a time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use domain::ids::{SecretId, WorkspaceId};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{ServiceError, store::StoreError};

/// The number of keys above which unused keys are dropped.
const FORGET_AT: usize = 1_024;
/// The maximum number of concurrent writers. Other requests need connections, too.
const WRITERS: usize = 8;
/// The maximum number of concurrent writers for the tokens of one workspace, so that no workspace
/// takes all of them.
const OF_WORKSPACE: usize = 2;
/// How long a request waits for concurrent writers before it is refused.
const PATIENCE: Duration = Duration::from_secs(3);

/// Limits the writers of the consequences of verifications: one for each secret, few for a
/// workspace, and a bounded number overall. Otherwise many clients that present a new secret would
/// take all connections, and no token could be revoked meanwhile. No request waits here for another
/// workspace that is slow.
#[derive(Debug)]
pub(crate) struct Writers {
    secrets: Keyed<SecretId, Mutex<()>>,
    workspaces: Keyed<WorkspaceId, Semaphore>,
    all: Semaphore,
}

/// The right to write, held until it is dropped.
pub(crate) struct Writer<'a> {
    _of_workspace: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
}

impl Default for Writers {
    fn default() -> Self {
        Self {
            secrets: Keyed::default(),
            workspaces: Keyed::default(),
            all: Semaphore::new(WRITERS),
        }
    }
}

impl Writers {
    /// Waits until this is the only writer for a secret.
    pub(crate) async fn alone(
        &self,
        secret: SecretId,
    ) -> Result<OwnedMutexGuard<()>, ServiceError> {
        let secret = self.secrets.get(secret, Mutex::default);
        timeout(PATIENCE, secret.lock_owned()).await.map_err(|_| busy())
    }

    /// Waits for the right to write about a token of a workspace.
    pub(crate) async fn writer(&self, workspace: WorkspaceId) -> Result<Writer<'_>, ServiceError> {
        let workspace = self.workspaces.get(workspace, || Semaphore::new(OF_WORKSPACE));
        let both = async {
            let of_workspace = workspace.acquire_owned().await.ok()?;
            let of_all = self.all.acquire().await.ok()?;
            Some(Writer { _of_workspace: of_workspace, _of_all: of_all })
        };
        timeout(PATIENCE, both).await.ok().flatten().ok_or_else(busy)
    }
}

/// Values by key, each kept for as long as it is in use.
#[derive(Debug)]
struct Keyed<K, V>(std::sync::Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Keyed<K, V> {
    fn default() -> Self {
        Self(std::sync::Mutex::default())
    }
}

impl<K: Eq + Hash, V> Keyed<K, V> {
    fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        if held.len() >= FORGET_AT {
            held.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(make());
        held.insert(key, Arc::downgrade(&value));
        value
    }
}

fn busy() -> ServiceError {
    StoreError::away("timed out waiting for a concurrent write").into()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Returns whether the caller has to wait.
    async fn waits<T>(turn: impl Future<Output = Result<T, ServiceError>>) -> bool {
        match timeout(Duration::from_millis(20), turn).await {
            Ok(outcome) => {
                outcome.unwrap();
                false
            }
            Err(_) => true,
        }
    }

    #[tokio::test]
    async fn workspace_has_at_most_two_writers() {
        let writers = Writers::default();
        let workspace = |number| WorkspaceId(Uuid::from_u128(number));
        let mut held = Vec::new();
        for number in [1, 1, 2, 2, 3, 3] {
            held.push(writers.writer(workspace(number)).await.unwrap());
        }
        assert!(waits(writers.writer(workspace(1))).await);
        assert!(!waits(writers.writer(workspace(4))).await);
        held.remove(0);
        assert!(!waits(writers.writer(workspace(1))).await);
    }

    #[tokio::test]
    async fn secret_waits_only_for_itself() {
        let writers = Writers::default();
        let secret = |number| SecretId(Uuid::from_u128(number));
        let mut held = Vec::new();
        for number in 0..500 {
            held.push(writers.alone(secret(number)).await.unwrap());
        }
        assert!(waits(writers.alone(secret(7))).await);
        held.clear();
        assert!(!waits(writers.alone(secret(7))).await);
    }
}
