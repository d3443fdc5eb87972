//! How many files the process may have open: sockets are files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside sockets: the log's, those of the runtime, listeners, and connections that are being closed.
const OWN: u64 = 128;
/// Connections to the database beside those of requests: for verifications, to follow the others, for changes of the
/// schema.
const DATABASE: u64 = 8;
/// Most connections, however many files may be open.
const MOST: u64 = 10_000;
/// Connections by the Unix socket.
const LOCAL: u64 = 256;
/// Connections for those who read the metrics.
const WATCHERS: u64 = 64;
/// Connections for health checks when all others are taken, on each listener.
const RESERVE: u64 = 16;

/// What the server has sockets for beside the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Connections to the database for requests.
    pub(crate) database: u32,
    /// Whether it listens on a Unix socket.
    pub(crate) unix: bool,
    /// Whether it listens for those who read the metrics.
    pub(crate) metrics: bool,
}

/// How many connections there may be, so that all of them have files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// From the network.
    pub(crate) network: usize,
    /// By the Unix socket. The network takes none of these.
    pub(crate) local: usize,
    /// For those who read the metrics.
    pub(crate) watchers: usize,
    /// For health checks, on each listener.
    pub(crate) reserve: usize,
}

/// Raises the limit to what the system allows. Shells and service managers begin with 1,024. The embedded
/// database, which is started later, has the same limit.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Returns how many connections the present limit allows.
pub(crate) fn room(needs: Needs) -> Room {
    divided(getrlimit(Resource::Nofile).current, needs)
}

fn divided(files: Option<u64>, needs: Needs) -> Room {
    let files = files.unwrap_or(u64::MAX);
    let own = OWN + DATABASE + u64::from(needs.database);
    // Where there are very few, a quarter of them.
    let left = files.saturating_sub(own).max(files / 4);
    let if_used = |used: bool, count| if used { count } else { 0 };
    let local = if_used(needs.unix, LOCAL);
    let watchers = if_used(needs.metrics, WATCHERS);
    let wanted = local + watchers + RESERVE + if_used(needs.metrics, RESERVE);
    // The network has at least half.
    let granted = wanted.min(left / 2);
    let share = |count: u64| number(count * granted / wanted);
    Room {
        network: number((left - granted).min(MOST)),
        local: share(local),
        watchers: share(watchers),
        reserve: share(RESERVE).max(1),
    }
}

fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_all_listeners_leave_files_for_everything_else() {
        let room = |network, local, watchers, reserve| Room { network, local, watchers, reserve };
        for (files, unix, metrics, expected) in [
            (None, true, true, room(10_000, 256, 64, 16)),
            (Some(1 << 20), true, true, room(10_000, 256, 64, 16)),
            (Some(1_024), false, false, room(862, 0, 0, 16)),
            (Some(1_024), true, true, room(526, 256, 64, 16)),
            (Some(400), true, true, room(127, 92, 23, 5)),
            (Some(64), false, false, room(8, 0, 0, 8)),
        ] {
            let found = divided(files, Needs { database: 10, unix, metrics });
            assert_eq!(found, expected, "{files:?}");
            let reserves = found.reserve * (1 + usize::from(metrics));
            let sockets = found.network + found.local + found.watchers + reserves;
            assert!(files.is_none_or(|files| number(files) >= sockets + 48), "{files:?}");
        }
    }
}
