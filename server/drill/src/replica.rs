//! A replica: a process of `tessera serve`, its proxy to the database, and its disturbances.

use std::{
    cell::{Cell, RefCell},
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{Outcome, history::Moment, namespace::Namespace, proxy::Proxy};

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// How to start a server.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) binary: PathBuf,
    pub(crate) keys: PathBuf,
    /// Variables that are added to its environment.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

/// A replica.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: &'static str,
    pub(crate) proxy: Proxy,
    /// Its network, if it has a separate one.
    pub(crate) namespace: Option<Namespace>,
    recipe: Recipe,
    database_url: String,
    folder: PathBuf,
    process: RefCell<Option<Process>>,
    address: Cell<Option<SocketAddr>>,
    pub(crate) trouble: Trouble,
}

/// When a replica was disturbed, and its answers while its database was away.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    disturbed: Cell<bool>,
    over: Cell<Moment>,
    /// When its database went away.
    pub(crate) away: Cell<Option<Away>>,
    /// When its database came back, until the replica decides again.
    pub(crate) back: Cell<Option<Moment>>,
}

/// A period without a database.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Away {
    pub(crate) since: Moment,
    /// The beginning of the last accepted verification.
    pub(crate) last_accept: Option<Moment>,
    /// The end of the first verification that was answered with 503.
    pub(crate) first_refusal: Option<Moment>,
}

impl Trouble {
    pub(crate) fn begin(&self) {
        self.disturbed.set(true);
    }

    pub(crate) fn end(&self, now: Moment) {
        self.over.set(now);
        self.disturbed.set(false);
    }

    /// Reports whether nothing disturbed it from `quiet` before this moment until now.
    pub(crate) fn quiet_since(&self, moment: Moment, quiet: Moment) -> bool {
        !self.disturbed.get() && (self.over.get() == 0 || self.over.get() + quiet < moment)
    }

    pub(crate) fn is_disturbed(&self) -> bool {
        self.disturbed.get()
    }
}

/// A child process, which is killed when dropped, even if it is paused.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Replica {
    /// Creates a replica that is not running yet.
    pub(crate) fn new(
        name: &'static str,
        (proxy, namespace): (Proxy, Option<Namespace>),
        recipe: Recipe,
        database_url: String,
        folder: &Path,
    ) -> Self {
        Self {
            name,
            proxy,
            namespace,
            recipe,
            database_url,
            folder: folder.join(name),
            process: RefCell::new(None),
            address: Cell::new(None),
            trouble: Trouble::default(),
        }
    }

    /// Returns its address while it runs.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address.get()
    }

    /// Starts the replica and waits until it has its database.
    pub(crate) async fn start(&self) -> Outcome<()> {
        fs::create_dir_all(&self.folder)?;
        let (stdout, log) = (self.folder.join("stdout"), self.folder.join("log"));
        let own = self.namespace.as_ref();
        let mut command = match own {
            Some(namespace) => clean(namespace.command(&self.recipe.binary)),
            None => command(&self.recipe.binary),
        };
        let address = own.map_or(Ipv4Addr::LOCALHOST, Namespace::replica);
        command
            .args(["serve", "--listen", &format!("{address}:0")])
            .args(["--api-rate-limit", "0", "--log", "warn"])
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .arg("--keys-file")
            .arg(&self.recipe.keys)
            .env("TESSERA_DATABASE_URL", &self.database_url)
            .envs(self.recipe.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::options().create(true).append(true).open(&log)?)
            // Ctrl+C is meant for the drill, which stops its children itself.
            .process_group(0);
        self.process.replace(Some(Process(command.spawn()?)));
        let deadline = Instant::now() + START;
        let address = loop {
            let text = fs::read_to_string(&stdout)?;
            let address = text.split_once("Listening on http://").and_then(|(_, rest)| {
                rest.split(['/', '\n']).next().and_then(|address| address.parse().ok())
            });
            if let Some(address) = address
                && text.contains("Ready")
            {
                break address;
            }
            if self.has_ended()? || Instant::now() > deadline {
                return Err(
                    format!("replica {} did not start: {}", self.name, self.log_end()).into()
                );
            }
            sleep(Duration::from_millis(10)).await;
        };
        self.address.set(Some(address));
        Ok(())
    }

    /// Reports whether its process has exited by itself.
    pub(crate) fn has_ended(&self) -> Outcome<bool> {
        match self.process.borrow_mut().as_mut() {
            Some(process) => Ok(process.0.try_wait()?.is_some()),
            None => Ok(false),
        }
    }

    /// Returns its whole log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Returns the end of its log.
    pub(crate) fn log_end(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Returns the first errors in its log.
    pub(crate) fn logged_errors(&self) -> Vec<String> {
        let text = self.log();
        text.lines().filter(|line| line.contains("ERROR")).take(6).map(str::to_owned).collect()
    }

    /// Kills the process without cleanup.
    pub(crate) fn kill(&self) {
        self.address.set(None);
        self.process.replace(None);
    }

    /// Pauses the process (SIGSTOP).
    pub(crate) fn stop(&self) -> Outcome<()> {
        self.signal(Signal::STOP)
    }

    /// Resumes the process (SIGCONT).
    pub(crate) fn resume(&self) -> Outcome<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        let process = self.process.borrow();
        let Some(process) = process.as_ref() else { return Ok(()) };
        // The process was not waited for, so its ID cannot have been reused.
        let pid = i32::try_from(process.0.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or("the process has no ID")?, signal)?)
    }
}

/// Returns a command for the binary, without Tessera's variables in its environment.
pub(crate) fn command(binary: &Path) -> Command {
    clean(Command::new(binary))
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TESSERA_") {
            command.env_remove(name);
        }
    }
    command
}
