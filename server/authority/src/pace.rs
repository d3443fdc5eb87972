//! Splits long work into turns, on a thread that answers verifications.
//!
//! A request that needs longer than a fraction of a millisecond there lets the thread's other tasks
//! run in between. Work is counted in steps of a few nanoseconds, as
//! [`domain::scope_pattern::Steps`] counts it, so that the length of a turn does not depend on a
//! clock.

use tokio::task::yield_now;

/// Steps after which other tasks get their turn.
const TURN: usize = 50_000;
/// Bytes that are written or read in the time of one step.
const BYTES_AT_ONCE: usize = 8;

/// The used part of a turn.
#[derive(Debug, Default)]
pub struct Pace(usize);

impl Pace {
    /// Counts completed work, and lets other tasks run when the turn is over.
    pub async fn spend(&mut self, steps: usize) {
        self.0 += steps;
        if self.0 >= TURN {
            self.0 = 0;
            yield_now().await;
        }
    }

    /// Counts bytes that were written or read, as [`Self::spend`] does for steps.
    pub async fn spend_bytes(&mut self, bytes: usize) {
        self.spend(bytes / BYTES_AT_ONCE).await;
    }
}

/// Returns the output of a future, and how often it let other tasks run.
#[cfg(test)]
pub(crate) async fn turns<T>(work: impl Future<Output = T>) -> (T, usize) {
    let mut work = std::pin::pin!(work);
    let mut turns = 0;
    let outcome = std::future::poll_fn(|context| {
        let state = work.as_mut().poll(context);
        turns += usize::from(state.is_pending());
        state
    });
    (outcome.await, turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_work_yields_after_a_number_of_steps() {
        let work = async {
            let mut pace = Pace::default();
            for _ in 0..100 {
                pace.spend(TURN / 10).await;
            }
            pace.spend_bytes(TURN * BYTES_AT_ONCE).await;
            pace.spend(TURN - 1).await;
        };
        assert_eq!(turns(work).await, ((), 11));
    }
}
