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
}

struct Model {
    mechanism: Mechanism,
    /// What is committed.
    database: AtomicU32,
    generation: Mutex<u64>,
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
            kept: Mutex::new(None),
        })
    }

    fn verify(&self) -> u32 {
        if let Some(known) = *self.kept.lock().unwrap() {
            return known;
        }
        let began = *self.generation.lock().unwrap();
        let found = self.database.load(Ordering::SeqCst);
        let log = self.generation.lock().unwrap();
        match self.mechanism {
            Mechanism::Whole if *log == began => *self.kept.lock().unwrap() = Some(found),
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
        *self.kept.lock().unwrap() = None;
    }
}

fn try_all(mechanism: Mechanism) {
    loom::model(move || {
        let model = Model::new(mechanism);
        let loaders: Vec<_> = (0..2)
            .map(|_| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.verify())
            })
            .collect();
        model.narrow();
        assert_eq!(model.verify(), AFTER, "what was before was told after the answer");
        for loader in loaders {
            loader.join().unwrap();
        }
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
