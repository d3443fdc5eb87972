//! Lists the surroundings in memory by the user and by the workspace that they depend on.
//!
//! A change of a user or a workspace invalidates the surroundings that depend on it, for all facts
//! that refer to them. The cost depends only on the number of affected surroundings: nothing else
//! in memory is visited.
//!
//! Invariants:
//!
//! - Surroundings in the cache, by themselves or with a token, are listed here or invalidated. The
//!   cache lists, keeps and invalidates them in one order, that of the lock of its log.
//! - Surroundings leave the list when they are dropped. That may happen under any lock of the
//!   cache, so this list's lock is the last one to be taken, and no surroundings are dropped under
//!   it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::kernel::Surroundings;
use uuid::Uuid;

/// Surroundings under the id of their user and under that of their workspace. The number
/// distinguishes surroundings of the same user or workspace.
type Listed = BTreeMap<(Uuid, u64), Weak<Surroundings>>;

#[derive(Default)]
pub(crate) struct Places {
    listed: Mutex<Listed>,
    next: AtomicU64,
    /// How many listed surroundings were visited so far.
    #[cfg(test)]
    visits: std::sync::atomic::AtomicUsize,
}

/// Removes surroundings from the list when they are dropped.
struct Entry {
    places: Arc<Places>,
    ids: [Uuid; 2],
    number: u64,
}

impl Places {
    /// Lists surroundings, unless they are listed already.
    pub(crate) fn list(self: &Arc<Self>, surroundings: &Arc<Surroundings>) {
        surroundings.validity.attach(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let ids = [surroundings.user.id.0, surroundings.workspace_id.0];
            let mut listed = self.listed();
            for id in ids {
                listed.insert((id, number), Arc::downgrade(surroundings));
            }
            drop(listed);
            Entry { places: Arc::clone(self), ids, number }
        });
    }

    /// Invalidates all surroundings of the user or the workspace with this id.
    pub(crate) fn end(&self, id: Uuid) {
        let concerned: Vec<_> =
            self.listed().extract_if((id, 0)..=(id, u64::MAX), |_, _| self.visit()).collect();
        // Without the lock, because this may drop the last reference to them.
        for surroundings in concerned.iter().filter_map(|(_, listed)| listed.upgrade()) {
            surroundings.validity.end();
        }
    }

    /// Counts a visit in tests.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only tests count visits"))]
    fn visit(&self) -> bool {
        #[cfg(test)]
        self.visits.fetch_add(1, Ordering::Relaxed);
        true
    }

    #[cfg(test)]
    pub(crate) fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.listed().len()
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut listed = self.places.listed();
        for id in self.ids {
            listed.remove(&(id, self.number));
        }
    }
}
