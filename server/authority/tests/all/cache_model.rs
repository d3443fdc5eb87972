//! Every interleaving of lookup and invalidation, checked by loom on a model of
//! `facts/cache.rs`: the database, the log with its generation, one entry, and the lists of
//! dependencies.
//!
//! The claim: a caller that verifies after a change was answered never gets the state from before.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

/// The variants of the mechanism, each of which omits or reorders one step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    /// The mechanism as implemented.
    Whole,
    /// A load does not check the generation.
    NoGeneration,
    /// A load checks the generation, releases the log, and then stores what it loaded.
    NoLock,
    /// The count of changes is incremented before anything is forgotten.
    CountedBefore,
    /// A load stores what it loaded without listing it.
    NotListed,
    /// A load stores what it loaded, releases the log, and only then lists it.
    ListedLate,
    /// Facts that were ended still count as valid.
    NotLookedAt,
}

/// How a change invalidates facts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A change to a token removes its facts.
    Removes,
    /// A change to a user or a workspace ends all facts that are listed under it.
    Ends,
}

const WAYS: [Way; 2] = [Way::Removes, Way::Ends];

struct Facts {
    version: u32,
    ended: AtomicBool,
}

struct Log {
    generation: u64,
    listed: Vec<Arc<Facts>>,
}

struct Model {
    mechanism: Mechanism,
    way: Way,
    /// The committed state.
    database: AtomicU32,
    log: Mutex<Log>,
    /// How often facts were forgotten.
    forgotten: AtomicU32,
    kept: Mutex<Option<Arc<Facts>>>,
}

const BEFORE: u32 = 1;
const AFTER: u32 = 2;

impl Model {
    fn new(mechanism: Mechanism, way: Way) -> Arc<Self> {
        Arc::new(Self {
            mechanism,
            way,
            database: AtomicU32::new(BEFORE),
            log: Mutex::new(Log { generation: 0, listed: Vec::new() }),
            forgotten: AtomicU32::new(0),
            kept: Mutex::new(None),
        })
    }

    fn get(&self) -> Option<u32> {
        let known = self.kept.lock().unwrap().clone()?;
        let has_ended =
            self.mechanism != Mechanism::NotLookedAt && known.ended.load(Ordering::Acquire);
        (!has_ended).then_some(known.version)
    }

    fn verify(&self) -> u32 {
        if let Some(known) = self.get() {
            return known;
        }
        let began = self.log.lock().unwrap().generation;
        let version = self.database.load(Ordering::SeqCst);
        let found = Arc::new(Facts { version, ended: AtomicBool::new(false) });
        let mut log = self.log.lock().unwrap();
        if log.generation != began && self.mechanism != Mechanism::NoGeneration {
            return version;
        }
        match self.mechanism {
            Mechanism::NotListed => self.keep(&found),
            Mechanism::ListedLate => {
                self.keep(&found);
                drop(log);
                self.log.lock().unwrap().listed.push(found);
            }
            Mechanism::NoLock => {
                log.listed.push(Arc::clone(&found));
                drop(log);
                self.keep(&found);
            }
            _ => {
                log.listed.push(Arc::clone(&found));
                self.keep(&found);
            }
        }
        version
    }

    fn keep(&self, found: &Arc<Facts>) {
        *self.kept.lock().unwrap() = Some(Arc::clone(found));
    }

    /// Returns when the change is answered.
    fn narrow(&self) {
        self.database.store(AFTER, Ordering::SeqCst);
        let mut log = self.log.lock().unwrap();
        log.generation += 1;
        if self.mechanism == Mechanism::CountedBefore {
            self.forgotten.fetch_add(1, Ordering::Release);
        }
        match self.way {
            Way::Removes => *self.kept.lock().unwrap() = None,
            Way::Ends => {
                for facts in log.listed.drain(..) {
                    facts.ended.store(true, Ordering::Release);
                }
            }
        }
        if self.mechanism != Mechanism::CountedBefore {
            self.forgotten.fetch_add(1, Ordering::Release);
        }
    }

    /// Returns the cached facts for later use, as `verification/memory.rs` does.
    fn recall(&self) -> (u32, Option<u32>) {
        let number = self.forgotten.load(Ordering::Acquire);
        (number, self.get())
    }

    fn verify_recalled(&self, (number, known): (u32, Option<u32>)) -> u32 {
        match known {
            Some(known) if self.forgotten.load(Ordering::Acquire) == number => known,
            _ => self.verify(),
        }
    }
}

fn try_all(mechanism: Mechanism, way: Way) {
    loom::model(move || {
        let model = Model::new(mechanism, way);
        let loader = thread::spawn({
            let model = Arc::clone(&model);
            move || model.verify()
        });
        model.narrow();
        assert_eq!(model.verify(), AFTER, "stale facts were returned after the response");
        loader.join().unwrap();
        assert_eq!(model.verify(), AFTER, "stale facts are still cached");
    });
}

#[test]
fn facts_evicted_during_a_lookup_do_not_come_back() {
    for way in WAYS {
        try_all(Mechanism::Whole, way);
    }
}

#[test]
#[should_panic(expected = "stale facts")]
fn without_the_generation_evicted_facts_come_back() {
    try_all(Mechanism::NoGeneration, Way::Removes);
}

#[test]
#[should_panic(expected = "stale facts")]
fn without_the_generation_ended_facts_come_back() {
    try_all(Mechanism::NoGeneration, Way::Ends);
}

#[test]
#[should_panic(expected = "stale facts")]
fn without_the_lock_evicted_facts_come_back() {
    try_all(Mechanism::NoLock, Way::Removes);
}

#[test]
#[should_panic(expected = "stale facts")]
fn without_the_list_evicted_facts_come_back() {
    try_all(Mechanism::NotListed, Way::Ends);
}

#[test]
#[should_panic(expected = "stale facts")]
fn listing_without_the_lock_lets_evicted_facts_come_back() {
    try_all(Mechanism::ListedLate, Way::Ends);
}

#[test]
#[should_panic(expected = "stale facts")]
fn without_the_validity_check_evicted_facts_come_back() {
    try_all(Mechanism::NotLookedAt, Way::Ends);
}

/// A caller recalls the facts while they are narrowed, and uses them after the change is answered.
fn recall_beside(mechanism: Mechanism, way: Way) {
    loom::model(move || {
        let model = Model::new(mechanism, way);
        model.verify();
        let caller = thread::spawn({
            let model = Arc::clone(&model);
            move || model.recall()
        });
        model.narrow();
        let recalled = caller.join().unwrap();
        assert_eq!(model.verify_recalled(recalled), AFTER, "stale facts were returned");
    });
}

#[test]
fn recalled_facts_are_not_used_after_eviction() {
    for way in WAYS {
        recall_beside(Mechanism::Whole, way);
    }
}

#[test]
#[should_panic(expected = "stale facts")]
fn counting_before_removal_lets_recalled_facts_be_used() {
    recall_beside(Mechanism::CountedBefore, Way::Removes);
}

#[test]
#[should_panic(expected = "stale facts")]
fn counting_before_the_end_lets_recalled_facts_be_used() {
    recall_beside(Mechanism::CountedBefore, Way::Ends);
}
