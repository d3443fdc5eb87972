//! Tracks the history of the database that this server relies on.
//!
//! A failover or a restore can undo acknowledged commits. Then no earlier result may be kept, and
//! no earlier connection may be used: it may lead to a primary that was replaced and still runs.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::ids::TokenId;
use tokio::{sync::Notify, time::Instant};

use crate::{
    kernel::Subject,
    store::{history::Mark, revisions::RevisionKey},
};

/// The maximum number of its own changes that a server remembers, to report those that a failover
/// has lost.
const MADE_MAX: usize = 256;
/// How long it remembers them; much shorter than revisions are kept.
const MADE_FOR: Duration = Duration::from_hours(1);

/// Why the whole cache is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The follower has a new connection.
    Connected,
    /// Another server process or another timeline answers.
    Server,
    /// The row of this server is not in the state in which it left it.
    Row,
    /// The last applied revision is missing, or is a different one.
    Revisions,
    /// An operator has raised the epoch.
    Epoch,
}

impl Break {
    /// Describes what this means for the database, for the log.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Connected => "the connection is new",
            Self::Server => "connected to a different database server",
            Self::Row => "this server's row in replicas is missing or was changed",
            Self::Revisions => "applied revisions are missing or differ",
            Self::Epoch => "the epoch was raised",
        }
    }
}

/// The known history, and which connections belong to it.
#[derive(Debug)]
pub(crate) struct History {
    /// Grows with every change of history. Results that were begun under an earlier epoch are not
    /// used.
    epoch: AtomicU64,
    state: Mutex<State>,
    /// Signals that a connection has reached another server than the follower's.
    suspected: Notify,
}

#[derive(Debug)]
struct State {
    /// The server that the follower is connected to; `None` before the first connection, and for
    /// engines that don't report it.
    mark: Option<Mark>,
    /// Whether the follower was ever connected.
    known: bool,
    /// When the history last changed, or a connection was last found to lead to another server.
    since: Option<Instant>,
    made: VecDeque<Made>,
}

/// A change that was committed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// `None` for new tokens, which leave no revision.
    pub(crate) revision: Option<RevisionKey>,
    pub(crate) subjects: Vec<Subject>,
    at: Instant,
}

impl History {
    pub(crate) const fn new() -> Self {
        let state = State { mark: None, known: false, since: None, made: VecDeque::new() };
        Self { epoch: AtomicU64::new(0), state: Mutex::new(state), suspected: Notify::const_new() }
    }

    /// Returns the epoch. Read it before connecting or querying, and again when the result has
    /// arrived.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Returns the server that the follower is connected to.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.state().mark.clone()
    }

    /// Records the first server that the follower is connected to. Returns `false` if it was
    /// connected before.
    pub(crate) fn learn(&self, mark: Option<&Mark>) -> bool {
        let mut state = self.state();
        if state.known {
            return false;
        }
        state.known = true;
        state.mark = mark.cloned();
        // Earlier connections may lead to a standby, which left no mark.
        state.since = Some(Instant::now());
        true
    }

    /// Begins a new history, that of the server with this mark.
    pub(crate) fn begin(&self, mark: Option<Mark>) {
        let mut state = self.state();
        state.known = true;
        state.mark = mark;
        state.since = Some(Instant::now());
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns whether this is the server that the follower is connected to, or may be. If it is
    /// another server, makes the follower connect again.
    pub(crate) fn agrees(&self, found: Option<&Mark>) -> bool {
        let agrees = match (&self.state().mark, found) {
            (Some(known), Some(found)) => known == found,
            _ => true,
        };
        if !agrees {
            self.suspected.notify_one();
        }
        agrees
    }

    /// Distrusts all existing connections, because one of them leads to another server than the
    /// follower's.
    pub(crate) fn distrust_connections(&self) {
        self.state().since = Some(Instant::now());
    }

    /// Resolves when a connection has reached another server than the follower's.
    pub(crate) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// Returns whether a connection of this age is older than the last change of history, or is
    /// distrusted.
    pub(crate) fn is_before(&self, age: Duration) -> bool {
        self.state().since.is_some_and(|since| age >= since.elapsed())
    }

    /// Records a change that was committed here.
    pub(crate) fn note_made(&self, revision: RevisionKey, subjects: Vec<Subject>) {
        self.note(Some(revision), subjects);
    }

    /// Records tokens that were created here. They count as a single change.
    pub(crate) fn note_tokens(&self, tokens: Vec<TokenId>) {
        if !tokens.is_empty() {
            self.note(None, tokens.into_iter().map(Subject::Token).collect());
        }
    }

    fn note(&self, revision: Option<RevisionKey>, subjects: Vec<Subject>) {
        let mut state = self.state();
        if state.made.len() >= MADE_MAX {
            state.made.pop_front();
        }
        state.made.push_back(Made { revision, subjects, at: Instant::now() });
    }

    /// Returns the recent changes that were committed here.
    pub(crate) fn made(&self) -> Vec<Made> {
        let mut state = self.state();
        state.made.retain(|made| made.at.elapsed() < MADE_FOR);
        state.made.iter().cloned().collect()
    }

    /// Drops these changes, which are not in the database.
    pub(crate) fn forget_made(&self, lost: &[Made]) {
        self.state().made.retain(|made| !lost.contains(made));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn mark(timeline: &str) -> Mark {
        let started_at = OffsetDateTime::UNIX_EPOCH;
        Mark { system: 1, timeline: timeline.into(), started_at, database: 1 }
    }

    #[tokio::test]
    async fn other_database_server_is_detected_and_an_unknown_one_is_not_mistaken_for_it() {
        let history = History::new();
        assert!(history.agrees(Some(&mark("1"))), "no server is known yet");
        let before = history.epoch();
        history.begin(Some(mark("1")));
        assert_ne!(history.epoch(), before);
        assert!(history.agrees(Some(&mark("1"))) && history.agrees(None));
        assert!(!history.agrees(Some(&mark("2"))));
        history.suspected().await;
    }

    #[tokio::test]
    async fn connections_from_before_a_switch_are_recognised_by_their_age() {
        let history = History::new();
        let old = Instant::now();
        assert!(!history.is_before(old.elapsed()));
        history.begin(None);
        assert!(history.is_before(old.elapsed()));
        assert!(!history.is_before(Duration::ZERO) || Instant::now() == old);
    }

    #[test]
    fn recent_changes_are_kept_up_to_a_limit() {
        let history = History::new();
        for id in 0..300 {
            history.note_made((id, uuid::Uuid::nil()), Vec::new());
        }
        let made = history.made();
        assert_eq!((made.len(), made[0].revision.unwrap().0), (MADE_MAX, 44));
        history.forget_made(&made[..1]);
        assert_eq!(history.made().len(), MADE_MAX - 1);
    }
}
