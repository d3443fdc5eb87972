//! The measured programs: the cores they run on, and their numbers in /proc.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Outcome, drive::now};

/// The servers' core. The driver has the other.
pub(crate) const SERVERS: u8 = 0;
/// The driver's core.
pub(crate) const DRIVER: u8 = 1;

/// How long a program may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running program, which is stopped when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) pid: u32,
}

/// Returns a command that runs on a core. Its children inherit the core.
pub(crate) fn on_core(core: u8, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Moves a process with its threads and descendants to a core.
pub(crate) fn pin(pid: u32, core: u8) -> Outcome<()> {
    for pid in with_descendants(pid)? {
        let status = Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", &core.to_string(), &pid.to_string()])
            .stdout(Stdio::null())
            .status()?;
        // The process may have exited by itself.
        if !status.success() && Path::new(&format!("/proc/{pid}")).exists() {
            return Err(format!("process {pid} could not be moved to core {core}").into());
        }
    }
    Ok(())
}

impl Running {
    /// Starts a program.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        Ok(Self { pid: child.id(), child })
    }

    /// Starts a server that prints its address.
    pub(crate) fn listening(command: Command) -> Outcome<(Self, String)> {
        let address = |line: &str| {
            let word =
                line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"))?;
            let end = word.match_indices('/').nth(2).map_or(word.len(), |(at, _)| at);
            Some(word[..end].to_owned())
        };
        let (running, line) = Self::saying(command, |line| address(line).is_some())?;
        Ok((running, address(&line).unwrap_or_default()))
    }

    /// Starts a server and waits for a line of its output.
    pub(crate) fn saying(
        mut command: Command,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Outcome<(Self, String)> {
        command.stdout(Stdio::piped());
        let mut running = Self::start(command)?;
        let stdout = running.child.stdout.take().ok_or("no standard output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if is_wanted(&line) {
                return Ok((running, line));
            }
        }
        Err("the server exited before it listened".into())
    }

    /// Retries until the program returns a result.
    pub(crate) fn ready<T>(&mut self, mut ask: impl FnMut() -> Option<T>) -> Outcome<T> {
        let begin = now();
        loop {
            if let Some(answer) = ask() {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("a server exited: {status}").into());
            }
            if begin.elapsed() > PATIENCE {
                return Err("a server did not become ready".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // SIGTERM lets the program stop what it has started.
            let _ = Command::new("kill").arg(self.pid.to_string()).status();
        }
        let _ = self.child.wait();
    }
}

/// Returns a port that is currently free.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The processes whose CPU time is counted.
#[derive(Clone, Copy)]
pub(crate) enum Cpu<'a> {
    /// A process with its threads.
    Process(u32),
    /// Processes with all their descendants.
    Trees(&'a [u32]),
}

impl Cpu<'_> {
    /// Returns the CPU seconds used so far (the first field of schedstat).
    pub(crate) fn seconds(self) -> Outcome<f64> {
        let pids = match self {
            Self::Process(pid) => vec![pid],
            Self::Trees(roots) => roots
                .iter()
                .map(|root| with_descendants(*root))
                .collect::<Outcome<Vec<_>>>()?
                .concat(),
        };
        let mut nanoseconds = 0.0;
        for pid in pids {
            // A process or thread may have exited in the meantime.
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks {
                let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
                nanoseconds += text.split_whitespace().next().unwrap_or("0").parse::<f64>()?;
            }
        }
        Ok(nanoseconds / 1e9)
    }
}

/// Returns the private resident memory of a process, in bytes (`RssAnon` of proc(5)).
pub(crate) fn resident_bytes(pid: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("RssAnon is missing")?;
    Ok(kilobytes.parse::<f64>()? * 1_024.0)
}

/// Returns a process and its descendants.
fn with_descendants(pid: u32) -> Outcome<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The second field is a name in parentheses and may contain spaces.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parents.push((pid, parent.and_then(|parent| parent.parse::<u32>().ok())));
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == Some(parent)).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(found)
}
