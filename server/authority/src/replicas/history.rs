//! Which history of the database this server answers by.
//!
//! A failover or a restore can take back what was committed and answered. Then nothing that was read before
//! may be kept, and no connection from before may be used: it may lead to a primary that was replaced and
//! still runs.

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
    store::{history::Mark, revisions::RevisionKey},
    verification::Subject,
};

/// Most changes of its own that a server remembers, to report those that a failover has lost.
const MADE_MAX: usize = 256;
/// How long it remembers them: much less than revisions are kept for.
const MADE_FOR: Duration = Duration::from_hours(1);

/// Why everything that was kept is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// The follower has a new connection.
    Connected,
    /// Another server process answers, or another timeline.
    Server,
    /// The row of this server is not as it left it.
    Row,
    /// The last revision that was applied is not there, or is another one.
    Revisions,
    /// An operator has raised the epoch.
    Epoch,
}

impl Break {
    /// What it says about the database, for the log.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Connected => "the connection is new",
            Self::Server => "another database server answers",
            Self::Row => "this server's row in replicas is gone, or not as it was left",
            Self::Revisions => "revisions that were applied are gone, or are others",
            Self::Epoch => "the epoch was raised",
        }
    }
}

/// The history that is known, and which connections belong to it.
#[derive(Debug)]
pub(crate) struct History {
    /// Grows with every change of history. What was begun under another one is not used.
    epoch: AtomicU64,
    state: Mutex<State>,
    /// Somebody has reached another server than the follower.
    suspected: Notify,
}

#[derive(Debug)]
struct State {
    /// The server that the follower is connected to; `None` before the first connection, and of engines that
    /// do not say.
    mark: Option<Mark>,
    /// Whether the follower was ever connected.
    known: bool,
    /// When the history changed last, or a connection was found to lead to another server.
    since: Option<Instant>,
    made: VecDeque<Made>,
}

/// A change that was made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// `None` of new tokens, which leave no revision.
    pub(super) revision: Option<RevisionKey>,
    pub(super) subjects: Vec<Subject>,
    at: Instant,
}

impl History {
    pub(crate) const fn new() -> Self {
        let state = State { mark: None, known: false, since: None, made: VecDeque::new() };
        Self { epoch: AtomicU64::new(0), state: Mutex::new(state), suspected: Notify::const_new() }
    }

    /// The epoch. Read it before connecting or asking, and again when the answer is there.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The server that the follower is connected to.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.state().mark.clone()
    }

    /// Learns which server the follower is connected to first. Returns `false` when it was connected before.
    pub(super) fn learn(&self, mark: Option<&Mark>) -> bool {
        let mut state = self.state();
        if state.known {
            return false;
        }
        state.known = true;
        state.mark = mark.cloned();
        // Connections of before may lead to a standby, which left no mark.
        state.since = Some(Instant::now());
        true
    }

    /// Begins a new history, of the server with this mark.
    pub(crate) fn begin(&self, mark: Option<Mark>) {
        let mut state = self.state();
        state.known = true;
        state.mark = mark;
        state.since = Some(Instant::now());
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this is the server that the follower is connected to, or that cannot be said. If it is
    /// another one, the follower is asked to connect again.
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

    /// Counts all connections of this moment as from before: one of them leads to another server than the follower's.
    pub(super) fn distrust_connections(&self) {
        self.state().since = Some(Instant::now());
    }

    /// Returns when somebody has reached another server than the follower.
    pub(crate) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// Returns whether a connection of this age is from before the last change of history, or is not trusted.
    pub(crate) fn is_before(&self, age: Duration) -> bool {
        self.state().since.is_some_and(|since| age >= since.elapsed())
    }

    /// Notes a change that was committed here.
    pub(super) fn note_made(&self, revision: RevisionKey, subjects: Vec<Subject>) {
        self.note(Some(revision), subjects);
    }

    /// Notes tokens that were made here. They are one change.
    pub(super) fn note_tokens(&self, tokens: Vec<TokenId>) {
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

    /// The changes that were committed here of late.
    pub(super) fn made(&self) -> Vec<Made> {
        let mut state = self.state();
        state.made.retain(|made| made.at.elapsed() < MADE_FOR);
        state.made.iter().cloned().collect()
    }

    /// Forgets these changes: they are not in the database.
    pub(super) fn forget_made(&self, lost: &[Made]) {
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
    async fn other_server_is_noticed_and_unknown_one_is_not_taken_for_another() {
        let history = History::new();
        assert!(history.agrees(Some(&mark("1"))), "nothing is known yet");
        let before = history.epoch();
        history.begin(Some(mark("1")));
        assert_ne!(history.epoch(), before);
        assert!(history.agrees(Some(&mark("1"))) && history.agrees(None));
        assert!(!history.agrees(Some(&mark("2"))));
        history.suspected().await;
    }

    #[tokio::test]
    async fn connections_from_before_are_told_from_later_ones_by_their_age() {
        let history = History::new();
        let old = Instant::now();
        assert!(!history.is_before(old.elapsed()));
        history.begin(None);
        assert!(history.is_before(old.elapsed()));
        assert!(!history.is_before(Duration::ZERO) || Instant::now() == old);
    }

    #[test]
    fn changes_are_remembered_up_to_a_bound() {
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
