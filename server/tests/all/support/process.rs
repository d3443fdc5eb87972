//! Processes that are not children of the test.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The postmaster of the embedded database in this data folder, if its file exists.
pub fn postmaster(data_dir: &Path) -> Option<i32> {
    let text = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Reports whether the process exists and is not a zombie.
pub fn is_alive(pid: i32) -> bool {
    let there = Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    there && !state.rsplit(") ").next().unwrap_or_default().starts_with('Z')
}

/// Kills a process without cleanup.
pub fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process id");
    kill_process(pid, Signal::KILL).expect("it can be killed");
}

/// The user that a process runs as.
pub fn owner(pid: i32) -> u32 {
    fs::metadata(format!("/proc/{pid}")).expect("the process exists").uid()
}

/// Reports whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
