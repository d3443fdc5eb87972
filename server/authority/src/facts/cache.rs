//! Caches the facts that verifications looked up, by digest, so that the next verification needs no
//! database.
//!
//! The cache holds facts, never decisions: facts hold for every demand and every moment until
//! something changes them. The lease decides whether they may be used at all (`replicas`).
//!
//! Invariants:
//!
//! - An entry that is invalidated while it is being looked up does not come back: a load first
//!   takes the generation, and its result is kept only if no later change concerns it. Keeping and
//!   invalidating follow one order, that of the lock of [`Log`].
//! - The same holds for surroundings, that is, everything the database says about a token outside
//!   its own row. If its surroundings are cached, a token that is not needs only its own row.
//! - A change of a user or a workspace invalidates the surroundings that it concerns (`places`).
//!   They stay in memory until they are evicted, but the cache treats them, and tokens that refer
//!   to them, as missing.
//! - Every entry that can be returned is in the index, under a serial number of its own. Eviction
//!   removes only its own number, never that of a later entry under the same key.
//! - Memory is bounded, in entries and in bytes (`room`): entries that were not requested recently
//!   are evicted.
//! - An unknown digest is remembered for [`UNKNOWN_FOR`] at most, and only until the next token is
//!   created here. This needs no lease: the token that it refuses did not exist a moment ago.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::kernel::{AudienceRights, Facts, Surroundings};
use domain::{catalogue::ScopeName, ids::TokenId};
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync};
use uuid::Uuid;

use crate::{
    facts::{
        places::Places,
        room::{self, Heavy, KeptSurroundings, Look, Room, Shared},
    },
    kernel::{Known, Subject},
    store::{
        facts::{Bare, SurroundingsKey},
        revisions::RevisionKey,
    },
};

/// The SHA-256 of a presented text. This is not the stored digest, which takes a key and more time
/// to compute.
pub(crate) type Key = [u8; 32];

/// How long the cache remembers that a token does not exist.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// The maximum number of cached unknown digests.
const UNKNOWN_MAX: usize = 10_000;
/// How many changes may happen during a load before it can no longer determine whether they concern
/// it.
const RECENT: usize = 256;
/// The maximum number of this server's own revisions that are kept until they are read back.
const OWN_MAX: usize = 1_024;

type Kept = sync::Cache<Key, Arc<Known>, UnitWeighter, DefaultHashBuilder, Eviction>;
type Guard<'a> =
    sync::PlaceholderGuard<'a, Key, Arc<Known>, UnitWeighter, DefaultHashBuilder, Eviction>;

pub(crate) struct Cache {
    known: Kept,
    /// The number of invalidations. Incremented after the entries are gone.
    forgotten: AtomicU64,
    surroundings: KeptSurroundings,
    room: Room,
    rights: Shared<AudienceRights>,
    scopes: Shared<ScopeName>,
    unknown: sync::Cache<Key, Duration>,
    log: Mutex<Log>,
    index: Arc<Index>,
    places: Arc<Places>,
}

/// The recent changes, in order.
#[derive(Default)]
struct Log {
    generation: u64,
    recent: VecDeque<Subject>,
    heavy: Heavy,
    /// Revisions that were committed here and whose subjects were invalidated after that.
    own: BTreeMap<i64, Uuid>,
}

/// The keys of a token's cached facts, one for each of its secrets, with their serial numbers.
#[derive(Default)]
struct Index(Mutex<HashMap<TokenId, Vec<(Key, u64)>>>);

/// Removes evicted entries from the index.
#[derive(Clone)]
struct Eviction(Arc<Index>);

/// A reserved entry for a key that is being looked up.
pub(crate) struct Vacancy<'a> {
    cache: &'a Cache,
    guard: Guard<'a>,
    key: Key,
    generation: u64,
}

/// The cached state of a digest.
pub(crate) enum Found<'a> {
    Known(Arc<Known>),
    /// The token does not exist.
    Nothing,
    /// The caller must look it up; concurrent requests for the same key wait.
    Vacant(Vacancy<'a>),
}

impl Cache {
    /// Returns a cache for this many tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::within(capacity, Room::default())
    }

    fn within(capacity: usize, room: Room) -> Self {
        let index = Arc::new(Index::default());
        let options = quick_cache::OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(u64::try_from(capacity).unwrap_or(u64::MAX))
            .build();
        let lifecycle = Eviction(Arc::clone(&index));
        let known = match options {
            Ok(options) => sync::Cache::with_options(
                options,
                UnitWeighter,
                DefaultHashBuilder::default(),
                lifecycle,
            ),
            Err(_) => sync::Cache::with(
                capacity,
                u64::try_from(capacity).unwrap_or(u64::MAX),
                UnitWeighter,
                DefaultHashBuilder::default(),
                lifecycle,
            ),
        };
        Self {
            known,
            forgotten: AtomicU64::new(0),
            surroundings: room::surroundings(capacity),
            room,
            rights: Shared::new(),
            scopes: Shared::new(),
            unknown: sync::Cache::new(UNKNOWN_MAX),
            log: Mutex::default(),
            index,
            places: Arc::default(),
        }
    }

    /// Returns a number that changes with every invalidation. While it is the same, an entry that
    /// was read after the number is still valid, even if it was evicted.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Returns the facts if they are cached.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Known>> {
        self.known.get(key).filter(|known| !known.is_invalidated())
    }

    /// Returns how many entries are cached, counting each secret separately. Includes invalidated
    /// facts that were not evicted yet.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Returns the cached state of a digest, or a reserved entry for it. Of many concurrent
    /// requests for one key, only one looks it up.
    pub(crate) async fn find(&self, key: &Key, now: Duration) -> Found<'_> {
        if self.is_unknown(key, now) {
            return Found::Nothing;
        }
        loop {
            match self.known.get_value_or_guard_async(key).await {
                Ok(known) if known.is_invalidated() => self.remove(key, &known),
                Ok(known) => return Found::Known(known),
                // The previous holder of the entry may have found that the token does not exist.
                Err(_) if self.is_unknown(key, now) => return Found::Nothing,
                Err(guard) => {
                    let generation = self.generation();
                    return Found::Vacant(Vacancy { cache: self, guard, key: *key, generation });
                }
            }
        }
    }

    /// Removes these facts, but no later entry under the same key.
    fn remove(&self, key: &Key, known: &Known) {
        self.index.remove(known);
        self.known.remove_if(key, |kept| kept.serial() == known.serial());
    }

    /// Returns the position in the log. Data that is read after this call includes all changes that
    /// were applied so far.
    pub(crate) fn generation(&self) -> u64 {
        self.log().generation
    }

    /// Returns the facts of a token whose row was read since this generation, if its surroundings
    /// are cached and no later change concerns them. Neither part then lacks a change that was
    /// acknowledged earlier.
    pub(crate) fn complete(&self, generation: u64, bare: Bare) -> Option<Facts> {
        let surroundings = self.kept_surroundings(&bare.key)?;
        let facts = bare.with(surroundings);
        self.log().has_left(generation, |subject| subject.concerns(&facts)).then_some(facts)
    }

    fn kept_surroundings(&self, key: &SurroundingsKey) -> Option<Arc<Surroundings>> {
        self.surroundings.get(key).filter(|surroundings| !surroundings.validity.has_ended())
    }

    /// Caches surroundings that were read since this generation, unless they may have changed
    /// meanwhile. Returns them in any case, sharing the parts that they have in common with others.
    pub(crate) fn keep(
        &self,
        generation: u64,
        key: SurroundingsKey,
        mut surroundings: Surroundings,
    ) -> Arc<Surroundings> {
        let mut rights = surroundings.rights.to_vec();
        for rights in &mut rights {
            self.scopes.share(&mut rights.scopes);
            self.scopes.share(&mut rights.granted);
        }
        surroundings.rights = rights.into();
        self.rights.share(&mut surroundings.rights);
        let log = self.log();
        let known = self.kept_surroundings(&key);
        if let Some(known) = known.filter(|known| **known == surroundings) {
            return known;
        }
        self.room.take(&mut surroundings);
        let surroundings = Arc::new(surroundings);
        if log.has_left(generation, |subject| subject.concerns_place(key.workspace, key.user)) {
            self.places.list(&surroundings);
            self.surroundings.insert(key, Arc::clone(&surroundings));
        }
        drop(log);
        surroundings
    }

    fn is_unknown(&self, key: &Key, now: Duration) -> bool {
        self.unknown.get(key).is_some_and(|until| now < until)
    }

    /// Invalidates everything that these changes concern.
    pub(crate) fn forget(&self, subjects: &[Subject]) {
        if !subjects.is_empty() {
            self.forget_in(&mut self.log(), subjects);
        }
    }

    /// Invalidates everything that local commits concern, and records their revisions, so that
    /// nothing needs to be invalidated when they are read back. Call it only after a successful
    /// commit: later lookups see the change.
    pub(crate) fn forget_own(&self, subjects: &[Subject], revisions: &[RevisionKey]) {
        let mut log = self.log();
        self.forget_in(&mut log, subjects);
        log.own.extend(revisions.iter().copied());
        while log.own.len() > OWN_MAX {
            log.own.pop_first();
        }
    }

    /// Invalidates everything that these revisions concern, except those of [`Self::forget_own`].
    pub(crate) fn apply(&self, revisions: &[(RevisionKey, Subject)]) {
        let mut log = self.log();
        let subjects: Vec<Subject> = revisions
            .iter()
            .filter(|((id, nonce), _)| log.own.remove(id) != Some(*nonce))
            .map(|(_, subject)| *subject)
            .collect();
        if !subjects.is_empty() {
            self.forget_in(&mut log, &subjects);
        }
    }

    fn forget_in(&self, log: &mut Log, subjects: &[Subject]) {
        log.note(subjects);
        for subject in subjects {
            match subject {
                Subject::Token(id) => {
                    for (key, _) in self.index.take(*id) {
                        self.known.remove(&key);
                    }
                }
                Subject::User(_) | Subject::Membership(_) | Subject::Workspace(Some(_)) => {
                    self.places.end(subject.id());
                }
                Subject::Workspace(None) | Subject::Catalogue(_) | Subject::Unknown => {
                    self.surroundings.clear();
                    self.known.clear();
                    self.index.clear();
                    log.heavy.clear();
                }
            }
        }
        // Last, so that a reader of the new number gets none of the old entries.
        self.forgotten.fetch_add(1, Ordering::Release);
    }

    /// Invalidates everything.
    pub(crate) fn clear(&self) {
        self.forget(&[Subject::Unknown]);
        self.unknown.clear();
    }

    /// Clears the unknown digests after a token was created here.
    pub(crate) fn made(&self) {
        // A concurrent lookup of this token must not record that it does not exist.
        self.log().note(&[]);
        self.unknown.clear();
    }

    /// Evicts tokens with heavy surroundings while these take too much memory.
    fn make_room(&self, heavy: &mut Heavy) {
        heavy.look(|key, serial| match self.known.peek(key) {
            Some(known) if known.serial() == serial => {
                if !self.room.is_over() && !known.is_invalidated() {
                    return Look::Stays;
                }
                self.remove(key, &known);
                Look::Left
            }
            _ => Look::Gone,
        });
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vacancy<'_> {
    /// Caches the result unless it may have changed meanwhile. Returns it in any case: its caller
    /// sent the request before that change was acknowledged.
    pub(crate) fn fill(self, facts: Facts) -> Arc<Known> {
        let known = Arc::new(Known::new(facts));
        // Held until the entry is filled, so that later invalidations find it.
        let mut log = self.cache.log();
        if !known.is_invalidated()
            && log.has_left(self.generation, |subject| subject.concerns(&known))
        {
            self.cache.places.list(&known.surroundings);
            self.cache.index.put(&known, self.key);
            if self.guard.insert(Arc::clone(&known)).is_err() {
                self.cache.index.remove(&known);
            } else if known.is_heavy() {
                log.heavy.add(self.key, known.serial());
                self.cache.make_room(&mut log.heavy);
            }
        }
        drop(log);
        known
    }

    /// Records that the token does not exist.
    pub(crate) fn nothing(self, now: Duration) {
        let log = self.cache.log();
        if log.generation == self.generation {
            self.cache.unknown.insert(self.key, now + UNKNOWN_FOR);
        }
        drop(log);
        drop(self.guard);
    }
}

impl Log {
    /// Records changes. An empty list means that a token was created.
    fn note(&mut self, subjects: &[Subject]) {
        if subjects.is_empty() {
            self.push(None);
        }
        for subject in subjects {
            self.push(Some(*subject));
        }
    }

    fn push(&mut self, subject: Option<Subject>) {
        self.generation += 1;
        // A new token concerns no existing facts: the nil token id stands for it.
        self.recent.push_back(subject.unwrap_or(Subject::Token(TokenId(Uuid::nil()))));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Returns whether no change since this generation concerns the data that was read, as far as
    /// the log reaches.
    fn has_left(&self, generation: u64, concerns: impl Fn(&Subject) -> bool) -> bool {
        let since = usize::try_from(self.generation - generation).unwrap_or(usize::MAX);
        since <= self.recent.len()
            && self.recent.iter().rev().take(since).all(|subject| !concerns(subject))
    }
}

impl Index {
    fn keys(&self) -> MutexGuard<'_, HashMap<TokenId, Vec<(Key, u64)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, known: &Known, key: Key) {
        // Most tokens have one secret, so reserve no more.
        let mut all = self.keys();
        let keys = all.entry(known.token_id).or_insert_with(|| Vec::with_capacity(1));
        keys.push((key, known.serial()));
    }

    fn take(&self, token: TokenId) -> Vec<(Key, u64)> {
        self.keys().remove(&token).unwrap_or_default()
    }

    fn remove(&self, known: &Known) {
        let mut all = self.keys();
        if let Some(keys) = all.get_mut(&known.token_id) {
            keys.retain(|(_, serial)| *serial != known.serial());
            if keys.is_empty() {
                all.remove(&known.token_id);
            }
        }
    }

    fn clear(&self) {
        self.keys().clear();
    }
}

impl Lifecycle<Key, Arc<Known>> for Eviction {
    type RequestState = ();

    fn on_evict(&self, (): &mut Self::RequestState, _: Key, known: Arc<Known>) {
        self.0.remove(&known);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use domain::ids::{UserId, WorkspaceId};

    use super::*;
    use crate::kernel::known::facts;
    use crate::store::facts::apart;

    const NOW: Duration = Duration::from_secs(1);

    fn key(number: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn token(number: u128) -> Subject {
        Subject::Token(TokenId(Uuid::from_u128(number)))
    }

    async fn vacancy<'a>(cache: &'a Cache, key: &Key) -> Vacancy<'a> {
        match cache.find(key, NOW).await {
            Found::Vacant(vacancy) => vacancy,
            _ => panic!("the slot is taken"),
        }
    }

    #[tokio::test]
    async fn found_token_is_cached_until_a_change_concerns_it() {
        let cache = Cache::new(100);
        for (forgotten, concerned) in [
            (token(1), true),
            (token(2), false),
            (Subject::User(UserId(Uuid::from_u128(7))), true),
            (Subject::Membership(UserId(Uuid::from_u128(8))), false),
            (Subject::Workspace(Some(WorkspaceId(Uuid::from_u128(3)))), true),
            (Subject::Workspace(None), true),
            (Subject::Catalogue(Uuid::nil()), true),
            (Subject::Unknown, true),
        ] {
            if cache.get(&key(1)).is_none() {
                vacancy(&cache, &key(1)).await.fill(facts(1, 7));
            }
            assert!(cache.get(&key(1)).is_some());
            let before = cache.forgotten();
            cache.forget(&[forgotten]);
            assert_eq!(cache.get(&key(1)).is_none(), concerned, "{forgotten:?}");
            assert_ne!(cache.forgotten(), before);
        }
    }

    #[tokio::test]
    async fn token_invalidated_during_its_lookup_is_not_cached() {
        let cache = Cache::new(100);
        let looking = vacancy(&cache, &key(1)).await;
        cache.forget(&[token(1)]);
        looking.fill(facts(1, 7));
        assert!(cache.get(&key(1)).is_none());
        // Unrelated changes don't matter, as long as the log holds them.
        let looking = vacancy(&cache, &key(1)).await;
        cache.forget(&vec![token(2); RECENT]);
        looking.fill(facts(1, 7));
        assert!(cache.get(&key(1)).is_some());
        cache.clear();
        let looking = vacancy(&cache, &key(1)).await;
        cache.forget(&vec![token(2); RECENT + 1]);
        looking.fill(facts(1, 7));
        assert!(cache.get(&key(1)).is_none());
    }

    /// The tokens of other tenants share the same memory.
    #[tokio::test]
    async fn change_of_one_of_100_000_users_visits_no_entries_of_the_others() {
        let cache = Cache::new(100_000);
        for number in 0..100_000 {
            let facts = facts(u128::from(number) + 1, 1_000 + u128::from(number / 2));
            vacancy(&cache, &key(number)).await.fill(facts);
        }
        let kept = cache.len();
        assert!(kept > 90_000, "{kept}");
        for subject in [
            Subject::Membership(UserId(Uuid::from_u128(50_000))),
            Subject::User(UserId(Uuid::from_u128(50_001))),
        ] {
            let before = cache.places.visits();
            cache.forget(&[subject]);
            let visits = cache.places.visits() - before;
            assert!(visits <= 2, "{subject:?}: visited {visits} of {kept}");
        }
        assert!((98_000..98_004).all(|number| cache.get(&key(number)).is_none()));
        // One entry for the user and one for the workspace, only for cached surroundings.
        drop(cache.find(&key(98_000), NOW).await);
        assert!(cache.places.len() <= 2 * kept, "{}", cache.places.len());
        cache.clear();
        assert_eq!(cache.places.len(), 0);
    }

    #[tokio::test]
    async fn evicted_surroundings_are_invalidated_for_all_tokens_that_share_them() {
        let cache = Cache::new(100);
        let (bare, surroundings) = apart(facts(1, 7));
        let surroundings = cache.keep(cache.generation(), bare.key, surroundings);
        for number in 1..=3 {
            let (bare, _) = apart(facts(u128::from(number), 7));
            vacancy(&cache, &key(number)).await.fill(bare.with(Arc::clone(&surroundings)));
        }
        assert_eq!(cache.places.len(), 2);
        cache.surroundings.clear();
        cache.forget(&[Subject::Membership(UserId(Uuid::from_u128(7)))]);
        assert_eq!(cache.places.visits(), 1);
        assert!((1..=3).all(|number| cache.get(&key(number)).is_none()));
        // Invalidated surroundings are not kept any longer.
        let (bare, _) = apart(facts(4, 7));
        vacancy(&cache, &key(4)).await.fill(bare.with(surroundings));
        assert!(cache.get(&key(4)).is_none() && complete(&cache, cache.generation(), 4).is_none());
    }

    #[tokio::test]
    async fn invalidated_facts_are_replaced_by_the_next_lookup() {
        let cache = Cache::new(100);
        let membership = Subject::Membership(UserId(Uuid::from_u128(7)));
        for _ in 0..3 {
            vacancy(&cache, &key(1)).await.fill(facts(1, 7));
            assert!(cache.get(&key(1)).is_some());
            assert_eq!((cache.len(), cache.index.keys().len(), cache.places.len()), (1, 1, 2));
            cache.forget(&[membership]);
            assert!(cache.get(&key(1)).is_none());
        }
        cache.forget(&[token(1)]);
        assert_eq!((cache.len(), cache.index.keys().len(), cache.places.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn own_revision_invalidates_nothing_when_read_back_and_another_one_of_the_same_number_does()
     {
        let cache = Cache::new(100);
        let (own, other) = ((4, Uuid::from_u128(1)), (4, Uuid::from_u128(2)));
        for (read, is_kept) in [(own, true), (other, false), ((5, own.1), false)] {
            cache.forget_own(&[token(1)], &[own]);
            vacancy(&cache, &key(1)).await.fill(facts(1, 7));
            cache.apply(&[(read, token(1))]);
            assert_eq!(cache.get(&key(1)).is_some(), is_kept, "{read:?}");
            cache.apply(&[(own, token(1))]);
            // It is skipped only once.
            cache.apply(&[(own, token(1))]);
            assert!(cache.get(&key(1)).is_none());
        }
        for id in 0..3_000 {
            cache.forget_own(&[token(1)], &[(id, Uuid::nil())]);
        }
        assert_eq!(cache.log().own.len(), OWN_MAX);
    }

    fn keep_surroundings(cache: &Cache, generation: u64) {
        let (bare, surroundings) = apart(facts(1, 7));
        cache.keep(generation, bare.key, surroundings);
    }

    fn complete(cache: &Cache, generation: u64, token: u128) -> Option<Facts> {
        let facts = facts(token, 7);
        let completed = cache.complete(generation, apart(facts.clone()).0);
        assert!(completed.is_none() || completed == Some(facts));
        completed
    }

    #[test]
    fn surroundings_are_cached_until_a_change_concerns_them() {
        let cache = Cache::new(100);
        for (forgotten, concerned) in [
            (token(1), false),
            (token(2), false),
            (Subject::User(UserId(Uuid::from_u128(7))), true),
            (Subject::Membership(UserId(Uuid::from_u128(7))), true),
            (Subject::Membership(UserId(Uuid::from_u128(8))), false),
            (Subject::Workspace(Some(WorkspaceId(Uuid::from_u128(3)))), true),
            (Subject::Workspace(Some(WorkspaceId(Uuid::from_u128(4)))), false),
            (Subject::Workspace(None), true),
            (Subject::Catalogue(Uuid::nil()), true),
            (Subject::Unknown, true),
        ] {
            keep_surroundings(&cache, cache.generation());
            assert!(complete(&cache, cache.generation(), 2).is_some());
            cache.forget(&[forgotten]);
            let completed = complete(&cache, cache.generation(), 2);
            assert_eq!(completed.is_none(), concerned, "{forgotten:?}");
        }
    }

    #[test]
    fn facts_read_during_a_change_that_concerns_them_are_neither_completed_nor_cached() {
        let cache = Cache::new(100);
        keep_surroundings(&cache, cache.generation());
        let before = cache.generation();
        cache.forget(&[token(1)]);
        assert!(complete(&cache, before, 1).is_none());
        assert!(complete(&cache, before, 2).is_some());
        assert!(complete(&cache, cache.generation(), 1).is_some());
        let user = Subject::User(UserId(Uuid::from_u128(7)));
        let before = cache.generation();
        cache.forget(&[user]);
        keep_surroundings(&cache, before);
        assert!(complete(&cache, cache.generation(), 1).is_none());
        // The surroundings are from after the change, the token's own row is from before.
        let before = cache.generation();
        cache.forget(&[user]);
        keep_surroundings(&cache, cache.generation());
        assert!(complete(&cache, before, 1).is_none());
    }

    #[tokio::test]
    async fn unknown_key_is_cached_briefly_and_only_until_the_next_token_is_created() {
        let cache = Cache::new(100);
        vacancy(&cache, &key(1)).await.nothing(NOW);
        assert!(matches!(cache.find(&key(1), NOW).await, Found::Nothing));
        assert!(matches!(cache.find(&key(1), NOW + UNKNOWN_FOR).await, Found::Vacant(_)));
        cache.made();
        let looking = vacancy(&cache, &key(1)).await;
        cache.made();
        looking.nothing(NOW);
        assert!(matches!(cache.find(&key(1), NOW).await, Found::Vacant(_)));
    }

    #[tokio::test]
    async fn all_secrets_of_a_token_are_invalidated_and_evicted_ones_leave_no_trace() {
        let cache = Cache::new(64);
        for number in 0..1_000 {
            vacancy(&cache, &key(number)).await.fill(facts(u128::from(number % 500) + 1, 7));
        }
        assert!(cache.len() <= 64);
        assert_eq!(cache.index.keys().values().map(Vec::len).sum::<usize>(), cache.len());
        for number in 0..500 {
            cache.forget(&[token(number + 1)]);
        }
        assert_eq!((cache.len(), cache.index.keys().len()), (0, 0));
    }

    /// Returns facts with scopes of this many bytes, which no other token shares.
    fn heavy_facts(token: u32, bytes: usize) -> Facts {
        let mut facts = facts(u128::from(token) + 1, 7);
        let name = |number| format!("a://{token}.{number}.{}", "s".repeat(400));
        let granted: Arc<[ScopeName]> =
            (0..bytes / 400).map(|number| name(number).parse().unwrap()).collect();
        let mut surroundings = Surroundings::clone(&facts.surroundings);
        let audience = "tables".parse().unwrap();
        surroundings.rights =
            [AudienceRights { audience, scopes: Arc::clone(&granted), granted }].into();
        facts.surroundings = surroundings.into();
        facts
    }

    /// Caches facts the way a load does.
    async fn load(cache: &Cache, number: u32, facts: Facts) -> Arc<Known> {
        let vacancy = vacancy(cache, &key(number)).await;
        let (bare, surroundings) = apart(facts);
        let surroundings = cache.keep(cache.generation(), bare.key.clone(), surroundings);
        vacancy.fill(bare.with(surroundings))
    }

    #[tokio::test]
    async fn heavy_surroundings_are_bounded_in_total_bytes() {
        let max = 2_000_000;
        let cache = Cache::within(10_000, Room::of(max));
        for number in 0..1_000 {
            load(&cache, number, heavy_facts(number, 0)).await;
        }
        assert_eq!(cache.room.bytes(), 0);
        // A change of a user also invalidates surroundings that are cached by themselves.
        let user = Subject::User(UserId(Uuid::from_u128(8)));
        for number in 1_000..1_300 {
            let known = load(&cache, number, heavy_facts(number, 20_000)).await;
            assert!(known.is_heavy() && known.surroundings.answer_max() > 40_000);
            cache.surroundings.clear();
            cache.forget(&[user]);
            drop(known);
            assert!(cache.room.bytes() <= max + 200_000, "{}", cache.room.bytes());
        }
        assert!(cache.room.bytes() > max / 2);
        assert!((1_010..1_100).contains(&cache.len()), "{}", cache.len());
        assert!((0..1_000).all(|number| cache.get(&key(number)).is_some()), "light entries stay");
        assert!(cache.get(&key(1_299)).is_some(), "the newest entry stays");
        let listed = cache.index.keys().values().map(Vec::len).sum::<usize>();
        assert_eq!(listed, cache.len());
        assert!(cache.log().heavy.len() <= 200);
        cache.clear();
        assert_eq!((cache.room.bytes(), cache.log().heavy.len()), (0, 0));
    }

    #[tokio::test]
    async fn shared_heavy_surroundings_are_charged_once() {
        let cache = Cache::within(10_000, Room::of(200_000));
        let common = heavy_facts(0, 20_000);
        for number in 0..500 {
            let token_id = TokenId(Uuid::from_u128(u128::from(number) + 1));
            load(&cache, number, Facts { token_id, ..common.clone() }).await;
        }
        assert_eq!(cache.len(), 500);
    }

    #[test]
    fn surroundings_without_tokens_are_bounded_in_bytes() {
        let cache = Cache::new(10_000);
        for number in 0..1_200 {
            let (bare, surroundings) = apart(heavy_facts(number, 40_000));
            let mut key = bare.key.clone();
            key.user = UserId(Uuid::from_u128(u128::from(number)));
            cache.keep(cache.generation(), key, surroundings);
        }
        let kept = cache.surroundings.len();
        assert!((100..800).contains(&kept), "{kept}");
        assert!(cache.room.bytes() <= 64 * 1024 * 1024 + 2 * 16 * 1024 * 1024);
    }

    /// Many threads at once: a request that starts after a change was acknowledged sees that
    /// change.
    #[test]
    fn lookup_after_an_acknowledged_change_sees_the_change() {
        let cache = Cache::new(8);
        let database: Vec<AtomicU64> = (0..16).map(|_| AtomicU64::new(0)).collect();
        // The token's version is stored in its user's number.
        let ask = |number: u32| {
            let at = usize::try_from(number).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let known = match cache.find(&key(number), NOW).await {
                    Found::Known(known) => known,
                    Found::Vacant(vacancy) => {
                        let version = database[at].load(Ordering::SeqCst);
                        thread::yield_now();
                        vacancy.fill(facts(u128::from(number) + 1, u128::from(version)))
                    }
                    Found::Nothing => unreachable!(),
                };
                u64::try_from(known.surroundings.user.id.0.as_u128()).unwrap()
            })
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..4_000_u32 {
                        ask(round % 16);
                    }
                });
            }
            for round in 0..4_000_u32 {
                let number = round % 16;
                let at = usize::try_from(number).unwrap();
                let version = database[at].fetch_add(1, Ordering::SeqCst) + 1;
                cache.forget(&[token(u128::from(number) + 1)]);
                assert!(ask(number) >= version, "round {round}");
            }
        });
    }

    /// The same for changes of users and workspaces, whose surroundings several tokens share.
    #[test]
    fn lookup_after_an_acknowledged_change_sees_the_new_surroundings() {
        const USERS: u32 = 3;
        let cache = Cache::new(8);
        let database: Vec<AtomicU64> = (0..USERS).map(|_| AtomicU64::new(0)).collect();
        // The user's version is stored in its name.
        let ask = |number: u32| {
            let user = number % USERS;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let load = |generation| {
                let version = database[usize::try_from(user).unwrap()].load(Ordering::SeqCst);
                thread::yield_now();
                let mut facts = facts(u128::from(number) + 1, u128::from(user) + 1);
                Arc::make_mut(&mut facts.surroundings).user.name = version.to_string();
                let (bare, surroundings) = apart(facts);
                if let Some(facts) = cache.complete(generation, bare.clone()) {
                    return facts;
                }
                let generation = cache.generation();
                let mut surroundings = surroundings;
                let version = database[usize::try_from(user).unwrap()].load(Ordering::SeqCst);
                surroundings.user.name = version.to_string();
                let surroundings = cache.keep(generation, bare.key.clone(), surroundings);
                bare.with(surroundings)
            };
            let known = match runtime.block_on(cache.find(&key(number), NOW)) {
                Found::Known(known) => known,
                Found::Vacant(vacancy) => {
                    let facts = load(cache.generation());
                    vacancy.fill(facts)
                }
                Found::Nothing => unreachable!(),
            };
            known.surroundings.user.name.parse::<u64>().unwrap()
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..600_u32 {
                        ask(round % 12);
                    }
                });
            }
            for round in 0..600_u32 {
                let number = round % 12;
                let user = number % USERS;
                let at = usize::try_from(user).unwrap();
                let version = database[at].fetch_add(1, Ordering::SeqCst) + 1;
                let id = Uuid::from_u128(u128::from(user) + 1);
                let subject = match round % 5 {
                    0 => Subject::User(UserId(id)),
                    1 => Subject::Workspace(Some(WorkspaceId(Uuid::from_u128(3)))),
                    _ => Subject::Membership(UserId(id)),
                };
                cache.forget(&[subject]);
                for same in (user..12).step_by(USERS as usize) {
                    assert!(ask(same) >= version, "round {round}");
                }
            }
        });
    }
}
