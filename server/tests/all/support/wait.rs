//! Polling with a deadline.

use std::{thread, time::Duration};

use tokio::time::Instant;

const STEP: Duration = Duration::from_millis(20);

/// The longest time that a single step may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Calls `probe` until it returns a value, or returns `None` after `limit`.
pub fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(found) = probe() {
            return Some(found);
        }
        thread::sleep(STEP);
    }
    probe()
}

/// Calls `probe` until it returns a value, and fails the test if it never does.
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match poll(PATIENCE, probe) {
        Some(found) => found,
        None => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}
