//! Every order in which looking up and forgetting can happen, tried by loom, on a model of
//! `verification/cache.rs`: the database, the log with its generation, one place.
//!
//! The claim: who asks after a change was answered never gets what was before.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// What could be left out.
#[derive(Clone, Copy)]
enum Mechanism {
    /// As it is built.
    Whole,
    /// A load does not look at the generation.
    NoGeneration,
    /// A load looks, lets go of the log, and keeps what it found then.
    NoLock,
    /// That something was forgotten is counted before it is gone.
    CountedBefore,
}

struct Model {
    mechanism: Mechanism,
    /// What is committed.
    database: AtomicU32,
    generation: Mutex<u64>,
    /// How often something was forgotten.
    forgotten: AtomicU32,
    kept: Mutex<Option<u32>>,
}

const BEFORE: u32 = 1;
const AFTER: u32 = 2;

impl Model {
    fn new(mechanism: Mechanism) -> Arc<Self> {
        Arc::new(Self {
            mechanism,
            database: AtomicU32::new(BEFORE),
            generation: Mutex::new(0),
            forgotten: AtomicU32::new(0),
            kept: Mutex::new(None),
        })
    }

    fn verify(&self) -> u32 {
        let known = *self.kept.lock().unwrap();
        if let Some(known) = known {
            return known;
        }
        let began = *self.generation.lock().unwrap();
        let found = self.database.load(Ordering::SeqCst);
        let log = self.generation.lock().unwrap();
        match self.mechanism {
            Mechanism::Whole | Mechanism::CountedBefore if *log == began => {
                *self.kept.lock().unwrap() = Some(found);
            }
            Mechanism::NoGeneration => *self.kept.lock().unwrap() = Some(found),
            Mechanism::NoLock if *log == began => {
                drop(log);
                *self.kept.lock().unwrap() = Some(found);
            }
            _ => {}
        }
        found
    }

    /// Returns when the change is answered.
    fn narrow(&self) {
        self.database.store(AFTER, Ordering::SeqCst);
        let mut log = self.generation.lock().unwrap();
        *log += 1;
        if matches!(self.mechanism, Mechanism::CountedBefore) {
            self.forgotten.fetch_add(1, Ordering::Release);
            *self.kept.lock().unwrap() = None;
        } else {
            *self.kept.lock().unwrap() = None;
            self.forgotten.fetch_add(1, Ordering::Release);
        }
    }

    /// What is kept, to be used later: `verification/memory.rs`.
    fn recall(&self) -> (u32, Option<u32>) {
        let number = self.forgotten.load(Ordering::Acquire);
        (number, *self.kept.lock().unwrap())
    }

    fn verify_recalled(&self, (number, known): (u32, Option<u32>)) -> u32 {
        match known {
            Some(known) if self.forgotten.load(Ordering::Acquire) == number => known,
            _ => self.verify(),
        }
    }
}

fn try_all(mechanism: Mechanism) {
    loom::model(move || {
        let model = Model::new(mechanism);
        let loader = thread::spawn({
            let model = Arc::clone(&model);
            move || model.verify()
        });
        model.narrow();
        assert_eq!(model.verify(), AFTER, "what was before was told after the answer");
        loader.join().unwrap();
        assert_eq!(model.verify(), AFTER, "what was before is still kept");
    });
}

#[test]
fn what_was_forgotten_while_it_was_looked_up_does_not_come_back() {
    try_all(Mechanism::Whole);
}

#[test]
#[should_panic(expected = "what was before")]
fn without_the_generation_it_does() {
    try_all(Mechanism::NoGeneration);
}

#[test]
#[should_panic(expected = "what was before")]
fn without_the_lock_it_does() {
    try_all(Mechanism::NoLock);
}

/// Somebody recalls while it is narrowed, and uses it after the answer.
fn recall_beside(mechanism: Mechanism) {
    loom::model(move || {
        let model = Model::new(mechanism);
        model.verify();
        let caller = thread::spawn({
            let model = Arc::clone(&model);
            move || model.recall()
        });
        model.narrow();
        let recalled = caller.join().unwrap();
        assert_eq!(model.verify_recalled(recalled), AFTER, "what was before was told");
    });
}

#[test]
fn what_was_recalled_is_not_used_after_it_was_forgotten() {
    recall_beside(Mechanism::Whole);
}

#[test]
#[should_panic(expected = "what was before")]
fn counted_before_it_is_gone_it_is() {
    recall_beside(Mechanism::CountedBefore);
}
