//! Bounds the cache in bytes, besides the number of its entries.
//!
//! A token may hold scopes with long names, and its answer contains each name twice. The cached
//! data of a token besides its own row is light or heavy ([`HEAVY`]). Light entries are bounded by
//! their number. Heavy ones count towards one sum for as long as anything refers to them; [`Heavy`]
//! lists the tokens that refer to them, so that some of these tokens can be evicted when the sum is
//! too large.

use std::{
    collections::VecDeque,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::kernel::{AudienceRights, Counted, Surroundings};
use domain::catalogue::ScopeName;
use quick_cache::{Weighter, sync};

use crate::{facts::cache::Key, store::facts::SurroundingsKey};

/// Surroundings of more bytes are heavy.
const HEAVY: usize = 4 * 1024;
/// The maximum size of all heavy surroundings together, in bytes.
const HEAVY_MAX: usize = 256 * 1024 * 1024;
/// The maximum size of the surroundings that are cached without a token that refers to them, in
/// bytes.
const SURROUNDINGS_BYTES: u64 = 64 * 1024 * 1024;
/// The maximum number of surroundings that are cached without a token that refers to them; never
/// more than the number of tokens.
const SURROUNDINGS_MAX: usize = 10_000;
/// The maximum number of shared lists of one kind.
const SHARED_MAX: usize = 1_000;
/// The maximum size of these lists, in bytes.
const SHARED_BYTES: u64 = 16 * 1024 * 1024;
/// Overhead of a text in bytes.
const TEXT: usize = 40;
/// How many tokens with heavy surroundings are checked for each one that is added while memory is
/// short.
const LOOKS: usize = 64;

/// Counts the bytes of the heavy surroundings in memory.
#[derive(Debug)]
pub(crate) struct Room {
    sum: Arc<AtomicUsize>,
    max: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(HEAVY_MAX)
    }
}

impl Room {
    pub(crate) fn of(max: usize) -> Self {
        Self { sum: Arc::default(), max }
    }

    /// Counts surroundings until they are dropped, if they are heavy.
    pub(crate) fn take(&self, surroundings: &mut Surroundings) {
        let bytes = weigh(surroundings);
        if bytes > HEAVY {
            surroundings.counted = Counted::new(&self.sum, bytes);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.sum.load(Ordering::Relaxed) > self.max
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.sum.load(Ordering::Relaxed)
    }
}

/// The cached tokens with heavy surroundings, by key and serial number. Some of them may have been
/// evicted since.
#[derive(Default)]
pub(crate) struct Heavy(VecDeque<(Key, u64)>);

/// The result of checking a token with heavy surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is not cached any more.
    Gone,
    /// It stays.
    Stays,
    /// It was evicted.
    Left,
}

impl Heavy {
    pub(crate) fn add(&mut self, key: Key, serial: u64) {
        self.0.push_back((key, serial));
    }

    /// Checks some tokens in turn, starting with the one whose last check is the longest ago. Stops
    /// after two that stay, so that evicted ones are not listed forever, or after [`LOOKS`] while
    /// memory is short.
    pub(crate) fn look(&mut self, mut look: impl FnMut(&Key, u64) -> Look) {
        let mut staying = 0;
        for _ in 0..LOOKS {
            let Some((key, serial)) = self.0.pop_front() else { return };
            if look(&key, serial) == Look::Stays {
                self.0.push_back((key, serial));
                staying += 1;
                if staying == 2 {
                    return;
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Estimates the bytes of memory that these take, including the answer rendered from them.
fn weigh(surroundings: &Surroundings) -> usize {
    surroundings.rights.iter().map(Weighs::bytes).sum::<usize>() + surroundings.answer_max()
}

/// Values whose memory is bounded.
pub(crate) trait Weighs {
    fn bytes(&self) -> usize;
}

impl Weighs for ScopeName {
    fn bytes(&self) -> usize {
        self.as_ref().len() + TEXT
    }
}

impl Weighs for AudienceRights {
    fn bytes(&self) -> usize {
        let scopes = self.scopes.iter().chain(self.granted.iter());
        self.audience.as_ref().len() + 2 * TEXT + scopes.map(Weighs::bytes).sum::<usize>()
    }
}

/// Weighs cached values by their bytes. The minimum weight is the room divided by the number of
/// entries, which bounds the number, too.
#[derive(Clone, Copy)]
pub(crate) struct ByBytes {
    least: u64,
}

impl ByBytes {
    const fn new(room: u64, number: usize) -> Self {
        Self { least: room / number as u64 }
    }

    fn weigh(self, bytes: usize) -> u64 {
        u64::try_from(bytes).unwrap_or(u64::MAX).max(self.least)
    }
}

impl Weighter<SurroundingsKey, Arc<Surroundings>> for ByBytes {
    fn weight(&self, key: &SurroundingsKey, surroundings: &Arc<Surroundings>) -> u64 {
        self.weigh(key.texts().map(|text| text.len() + TEXT).sum::<usize>() + weigh(surroundings))
    }
}

impl<T: Weighs> Weighter<Arc<[T]>, Arc<[T]>> for ByBytes {
    fn weight(&self, list: &Arc<[T]>, _: &Arc<[T]>) -> u64 {
        self.weigh(list.iter().map(Weighs::bytes).sum())
    }
}

/// Surroundings that are cached by themselves.
pub(crate) type KeptSurroundings = sync::Cache<SurroundingsKey, Arc<Surroundings>, ByBytes>;

/// Returns a cache for the surroundings of this many tokens.
pub(crate) fn surroundings(tokens: usize) -> KeptSurroundings {
    let number = tokens.clamp(1, SURROUNDINGS_MAX);
    let weighter = ByBytes::new(SURROUNDINGS_BYTES, number);
    sync::Cache::with_weighter(number, SURROUNDINGS_BYTES, weighter)
}

/// Lists that many tokens have in common: a single copy takes less memory and stays in the
/// processor's caches.
pub(crate) struct Shared<T>(sync::Cache<Arc<[T]>, Arc<[T]>, ByBytes>);

impl<T: Eq + Hash + Weighs> Shared<T> {
    pub(crate) fn new() -> Self {
        let weighter = ByBytes::new(SHARED_BYTES, SHARED_MAX);
        Self(sync::Cache::with_weighter(SHARED_MAX, SHARED_BYTES, weighter))
    }

    pub(crate) fn share(&self, list: &mut Arc<[T]>) {
        match self.0.get(&list[..]) {
            Some(known) => *list = known,
            None => self.0.insert(Arc::clone(list), Arc::clone(list)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(number: usize, scopes: usize) -> Arc<[ScopeName]> {
        let name = |scope| format!("a://{number}.{scope}.{}", "s".repeat(400));
        (0..scopes).map(|scope| name(scope).parse().unwrap()).collect()
    }

    #[test]
    fn shared_lists_are_bounded_in_number_and_bytes() {
        for (scopes, lists, at_least) in [(1, 2_000, 900), (128, 400, 100)] {
            let shared = Shared::new();
            for number in 0..lists {
                shared.share(&mut list(number, scopes));
            }
            assert!(shared.0.len() >= at_least && shared.0.len() <= SHARED_MAX);
            assert!(shared.0.weight() <= SHARED_BYTES);
            let bytes: usize =
                shared.0.iter().flat_map(|(list, _)| list.to_vec()).map(|name| name.bytes()).sum();
            assert!(bytes as u64 <= SHARED_BYTES, "{bytes}");
        }
    }

    #[test]
    fn evicted_tokens_do_not_stay_listed() {
        let mut heavy = Heavy::default();
        for number in 0..10_000 {
            heavy.add([0; 32], number);
            // The last hundred stay.
            heavy.look(|_, serial| if serial + 100 > number { Look::Stays } else { Look::Gone });
        }
        assert!(heavy.len() <= 300, "{}", heavy.len());
        heavy.look(|_, _| Look::Left);
        assert!(heavy.len() <= 300 - LOOKS);
    }
}
