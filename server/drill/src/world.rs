//! The shared state of the drill. One thread runs all parts, so that they agree on the order of
//! moments.

use std::{cell::RefCell, collections::VecDeque, path::PathBuf, time::Duration};

use tokio::time::Instant;

use crate::{
    arguments::Arguments,
    database::Database,
    history::{Condition, History, Moment},
    random::Random,
    replica::Replica,
    stale::Stale,
    tally::Tally,
};

/// How long a narrowed token is verified repeatedly.
const HOT: Duration = Duration::from_secs(5);

/// The scopes of every token. A shrink removes the second one.
pub(crate) const SCOPES: [&str; 2] = ["rivers:run", "connections:read"];

/// The shared state.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) arguments: Arguments,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) access: Access,
    pub(crate) cli: Cli,
    pub(crate) database: Database,
    pub(crate) history: RefCell<History>,
    pub(crate) pool: RefCell<Pool>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) stale: RefCell<Stale>,
    pub(crate) random: RefCell<Random>,
    pub(crate) began: Instant,
}

/// Header lines for the drill's own calls.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// A token that may verify.
    pub(crate) verifier: String,
    /// A token that manages tokens, and has the scopes that it grants.
    pub(crate) manager: String,
    /// The session of the administrator, who manages users and members.
    pub(crate) session: String,
}

/// The way to run commands.
#[derive(Clone, Debug)]
pub(crate) struct Cli {
    pub(crate) binary: PathBuf,
    pub(crate) database_url: String,
    pub(crate) keys: PathBuf,
    pub(crate) folder: PathBuf,
}

/// Users and secrets.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) users: Vec<User>,
    pub(crate) secrets: Vec<Secret>,
    /// Secrets that are accepted, as far as is known.
    living: Vec<usize>,
    /// Secrets that were narrowed recently.
    hot: VecDeque<Hot>,
}

/// A service account that tokens act as.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) enabled: Condition,
    pub(crate) member: Condition,
    /// Whether tokens can be created for it now.
    pub(crate) usable: bool,
}

/// A secret to verify.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) text: String,
    pub(crate) user: usize,
    /// Conditions that must hold for every verification.
    pub(crate) conditions: [Condition; 5],
    pub(crate) scopes: [Condition; SCOPES.len()],
    /// The number of scopes that it still has.
    pub(crate) held: usize,
}

#[derive(Clone, Copy, Debug)]
struct Hot {
    since: Moment,
    secret: usize,
    scope: usize,
}

impl World {
    /// Returns the current moment.
    pub(crate) fn now(&self) -> Moment {
        nanoseconds(self.began.elapsed())
    }

    /// Returns a random number generator for one part of the drill.
    pub(crate) fn chance(&self) -> Random {
        self.random.borrow_mut().fork()
    }

    /// Reports whether no replica was disturbed from `quiet` before this moment until now.
    pub(crate) fn all_quiet(&self, moment: Moment, quiet: Duration) -> bool {
        let quiet = nanoseconds(quiet);
        self.replicas.iter().all(|replica| replica.trouble.quiet_since(moment, quiet))
    }
}

impl Pool {
    /// Adds a living secret.
    pub(crate) fn add(&mut self, secret: Secret) -> usize {
        self.secrets.push(secret);
        self.living.push(self.secrets.len() - 1);
        self.secrets.len() - 1
    }

    /// Removes a secret from the living ones.
    pub(crate) fn remove(&mut self, secret: usize) {
        if let Some(at) = self.living.iter().position(|living| *living == secret) {
            self.living.swap_remove(at);
        }
    }

    /// Adds a secret to the living ones again.
    pub(crate) fn restore(&mut self, secret: usize) {
        if !self.living.contains(&secret) {
            self.living.push(secret);
        }
    }

    pub(crate) fn living(&self) -> usize {
        self.living.len()
    }

    /// Returns the living secrets that act as this user.
    pub(crate) fn of_user(&self, user: usize) -> Vec<usize> {
        let of = |secret: &&usize| self.secrets[**secret].user == user;
        self.living.iter().filter(of).copied().collect()
    }

    /// Makes verifications favour this secret and scope for a while.
    pub(crate) fn mark_hot(&mut self, secret: usize, scope: usize, since: Moment) {
        self.hot.push_back(Hot { since, secret, scope });
    }

    /// Chooses the next verification: a secret and a scope.
    pub(crate) fn choose(&mut self, random: &mut Random, now: Moment) -> Option<(usize, usize)> {
        let bound = now.saturating_sub(nanoseconds(HOT));
        while self.hot.front().is_some_and(|hot| hot.since < bound) {
            self.hot.pop_front();
        }
        if !self.hot.is_empty() && random.percent(55) {
            // Half of them among the latest, where a late replica would show.
            let newest = self.hot.len().saturating_sub(12);
            let from = if random.percent(50) { newest } else { 0 };
            let hot = self.hot[from + random.below(self.hot.len() - from)];
            return Some((hot.secret, hot.scope));
        }
        let secret = *random.pick(&self.living)?;
        let held = self.secrets[secret].held;
        Some((secret, random.below(held)))
    }
}

/// Converts a duration to the history's unit.
pub(crate) fn nanoseconds(time: Duration) -> Moment {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
