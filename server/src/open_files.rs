//! The number of files that the process may have open, divided among its connections: sockets are
//! files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files other than sockets: the log, the runtime's files, listeners, and connections that are
/// closing.
const OWN: u64 = 128;
/// Database connections that do not serve requests: they verify tokens, follow the other replicas
/// and change the schema.
const DATABASE: u64 = 8;
/// The maximum number of connections, however many files may be open.
const MOST: u64 = 10_000;
/// Connections on the Unix socket.
const LOCAL: u64 = 256;
/// Connections on the metrics listener.
const WATCHERS: u64 = 64;
/// Connections for health checks when all others are in use, for each listener.
const RESERVE: u64 = 16;

/// The sockets that the server needs in addition to those of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Database connections for requests.
    pub(crate) database: u32,
    /// Whether the server listens on a Unix socket.
    pub(crate) unix: bool,
    /// Whether the server has a metrics listener.
    pub(crate) metrics: bool,
}

/// The number of connections that may be open so that each of them has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Connections from the network.
    pub(crate) network: usize,
    /// Connections on the Unix socket. The network cannot use these.
    pub(crate) local: usize,
    /// Connections on the metrics listener.
    pub(crate) watchers: usize,
    /// Connections for health checks, for each listener.
    pub(crate) reserve: usize,
}

/// Raises the limit of open files to the maximum that the system allows. Shells and service
/// managers start processes with 1,024. The embedded database starts later and inherits the limit.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}

/// Returns how many connections the current limit allows.
pub(crate) fn room(needs: Needs) -> Room {
    divided(getrlimit(Resource::Nofile).current, needs)
}

fn divided(files: Option<u64>, needs: Needs) -> Room {
    let files = files.unwrap_or(u64::MAX);
    let own = OWN + DATABASE + u64::from(needs.database);
    // With a very low limit, use a quarter of the files.
    let left = files.saturating_sub(own).max(files / 4);
    let if_used = |used: bool, count| if used { count } else { 0 };
    let local = if_used(needs.unix, LOCAL);
    let watchers = if_used(needs.metrics, WATCHERS);
    let wanted = local + watchers + RESERVE + if_used(needs.metrics, RESERVE);
    // The network gets at least half.
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
    fn listener_limits_leave_open_files_for_other_uses() {
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
