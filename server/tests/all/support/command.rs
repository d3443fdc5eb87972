//! The command line of the built binary, in an environment without any configuration.

use std::{
    io::{Read, Write},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    process::is_root,
    wait::{PATIENCE, poll},
};

/// A command that has exited.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status, or -1 if a signal ended it.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Fails the test unless the command succeeded. Returns its standard output without the last
    /// newline.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout.trim_end_matches('\n').to_owned()
    }

    /// Fails the test unless the command failed with `status` and one plain line. Returns the line.
    #[track_caller]
    pub fn refused(self, status: i32) -> String {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let line = self.stderr.trim_end_matches('\n');
        assert!(!line.is_empty() && !line.contains('\n'), "one plain line, not: {line}");
        line.to_owned()
    }
}

/// A builder for a run of the binary.
#[derive(Debug)]
pub struct Tessera {
    command: Command,
    input: Vec<u8>,
}

impl Tessera {
    /// The binary with these arguments, in an environment without Tessera's variables.
    pub fn new(arguments: &[&str]) -> Self {
        Self { command: binary(arguments), input: Vec::new() }
    }

    /// The binary with this data folder.
    pub fn on(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::new(arguments).env("TESSERA_DATA_DIR", &data_dir.to_string_lossy())
    }

    /// Runs it as a user ID without a name, as some container platforms do. Needs root, or Linux's
    /// `unshare`.
    #[must_use]
    pub fn nameless(mut self, uid: u32, program: &Path) -> Self {
        let mut command = if is_root() {
            let mut command = Command::new(program);
            command.uid(uid).gid(uid);
            command
        } else {
            let mut command = Command::new("unshare");
            command.args(["--user", &format!("--map-user={uid}"), &format!("--map-group={uid}")]);
            command.arg(program);
            command
        };
        command.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.command = command;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets its working directory.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets its standard input.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        text.as_bytes().clone_into(&mut self.input);
        self
    }

    /// Runs it until it exits, and fails the test if it does not.
    #[track_caller]
    pub fn run(mut self) -> Finished {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        // A command that reads nothing may have exited already.
        let _ = child.stdin.take().expect("piped").write_all(&self.input);
        let stdout = read(child.stdout.take().expect("piped"));
        let stderr = read(child.stderr.take().expect("piped"));
        let ended = poll(PATIENCE, || child.try_wait().expect("it is our child"));
        if ended.is_none() {
            // If it runs a database, it must be able to stop it.
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
            let _ = child.wait();
        }
        let finished = Finished {
            status: ended.and_then(|status| status.code()).unwrap_or(-1),
            stdout: stdout.join().expect("readers do not panic"),
            stderr: stderr.join().expect("readers do not panic"),
        };
        assert!(ended.is_some(), "still running after {PATIENCE:?}: {finished:?}");
        finished
    }
}

fn read(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The binary as a command that can be extended.
pub fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TESSERA_") {
            command.env_remove(name);
        }
    }
    command
}
