//! How many files the process may have open: sockets are files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside the sockets of callers: the database's, the log's, those of the runtime, and connections that
/// are being closed.
const OWN: u64 = 256;
/// Most connections, however many files may be open.
const MOST: usize = 10_000;

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

/// The connections that the present limit allows.
pub(crate) fn connections() -> usize {
    allowed(getrlimit(Resource::Nofile).current)
}

fn allowed(files: Option<u64>) -> usize {
    let Some(files) = files else { return MOST };
    // Where there are few, half of them.
    let left = files.saturating_sub(OWN).max(files / 2);
    usize::try_from(left).map_or(MOST, |left| left.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        for (files, expected) in
            [(None, 10_000), (Some(1 << 20), 10_000), (Some(1_024), 768), (Some(64), 32)]
        {
            assert_eq!(allowed(files), expected, "{files:?}");
        }
    }
}
