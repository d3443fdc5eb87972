//! What the parts of the drill share. One thread runs them all, so that a moment is a moment for each.

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

/// How long a narrowed token is asked for again and again.
const HOT: Duration = Duration::from_secs(5);

/// The scopes of every token; a shrink takes the second one away.
pub(crate) const SCOPES: [&str; 2] = ["rivers:run", "connections:read"];

/// Everything.
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

/// Lines of headers with which the drill itself calls.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// May verify.
    pub(crate) verifier: String,
    /// Manages tokens; holds what it gives.
    pub(crate) manager: String,
    /// The session of the administrator, who manages users and members.
    pub(crate) session: String,
}

/// How commands are run.
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
    /// Secrets that are, as far as is known, accepted.
    living: Vec<usize>,
    /// Secrets that were narrowed a short time ago.
    hot: VecDeque<Hot>,
}

/// A service account that tokens act as.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) enabled: Condition,
    pub(crate) member: Condition,
    /// Whether tokens can be made for it now.
    pub(crate) usable: bool,
}

/// A secret that is presented.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) text: String,
    pub(crate) user: usize,
    /// What must hold whatever is asked for.
    pub(crate) conditions: [Condition; 5],
    pub(crate) scopes: [Condition; SCOPES.len()],
    /// How many of the scopes it still has.
    pub(crate) held: usize,
}

#[derive(Clone, Copy, Debug)]
struct Hot {
    since: Moment,
    secret: usize,
    scope: usize,
}

impl World {
    /// Now.
    pub(crate) fn now(&self) -> Moment {
        nanoseconds(self.began.elapsed())
    }

    /// A stream of chance for one part of the drill.
    pub(crate) fn chance(&self) -> Random {
        self.random.borrow_mut().fork()
    }

    /// Whether nothing disturbed any replica from `quiet` before this moment until now.
    pub(crate) fn all_quiet(&self, moment: Moment, quiet: Duration) -> bool {
        let quiet = nanoseconds(quiet);
        self.replicas.iter().all(|replica| replica.trouble.quiet_since(moment, quiet))
    }
}

impl Pool {
    /// Adds a secret that lives.
    pub(crate) fn add(&mut self, secret: Secret) -> usize {
        self.secrets.push(secret);
        self.living.push(self.secrets.len() - 1);
        self.secrets.len() - 1
    }

    pub(crate) fn bury(&mut self, secret: usize) {
        if let Some(at) = self.living.iter().position(|living| *living == secret) {
            self.living.swap_remove(at);
        }
    }

    pub(crate) fn revive(&mut self, secret: usize) {
        if !self.living.contains(&secret) {
            self.living.push(secret);
        }
    }

    pub(crate) fn living(&self) -> usize {
        self.living.len()
    }

    /// Living secrets that act as this user.
    pub(crate) fn of_user(&self, user: usize) -> Vec<usize> {
        let of = |secret: &&usize| self.secrets[**secret].user == user;
        self.living.iter().filter(of).copied().collect()
    }

    /// Makes everybody ask for this secret and scope.
    pub(crate) fn heat(&mut self, secret: usize, scope: usize, since: Moment) {
        self.hot.push_back(Hot { since, secret, scope });
    }

    /// What to ask for next: a secret and a scope, and whether it is hot.
    pub(crate) fn choose(&mut self, random: &mut Random, now: Moment) -> Option<(usize, usize)> {
        let bound = now.saturating_sub(nanoseconds(HOT));
        while self.hot.front().is_some_and(|hot| hot.since < bound) {
            self.hot.pop_front();
        }
        if !self.hot.is_empty() && random.percent(55) {
            // Half of them among the last ones: there a replica that is late would show.
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

/// A time as the history counts it.
pub(crate) fn nanoseconds(time: Duration) -> Moment {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
