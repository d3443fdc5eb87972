//! A server's database: SQL through psql, and pgbench for comparison.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Outcome,
    process::{DRIVER, SERVERS, on_core},
    tessera::Folder,
};

/// A PostgreSQL server on a Unix socket.
pub(crate) struct Database {
    folder: PathBuf,
    pub(crate) pid: u32,
}

/// Gives Tessera as many database connections as pgbench has.
pub(crate) const AS_MANY: [&str; 2] = ["--database-max-connections", "32"];

/// A durable PostgreSQL with connections for both pgbench and Tessera; stopped when dropped.
pub(crate) struct Postgres {
    child: Child,
    folder: PathBuf,
}

impl Postgres {
    /// Starts it on the servers' core.
    pub(crate) fn start() -> Outcome<Self> {
        let script = "psql --quiet \"$DATABASE_URL\" --command 'CREATE DATABASE tessera' && \
                      echo \"${DATABASE_URL#*host=}\" && read -r _";
        let mut child = on_core(SERVERS, "tools/with-postgres.sh")
            .args(["bash", "-c", script])
            .env("WITH_POSTGRES", "durable")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let folder = PathBuf::from(line.trim());
        if folder.as_os_str().is_empty() {
            return Err("PostgreSQL did not start".into());
        }
        Ok(Self { child, folder })
    }

    /// Returns its URL for Tessera.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tessera@localhost/tessera?host={}", self.folder.display())
    }

    /// Returns it for clients.
    pub(crate) fn database(&self) -> Outcome<Database> {
        Database::of(self.folder.clone())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The script reads the end of its input and stops what it started.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The results of pgbench.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PgbenchReport {
    /// Transactions per second.
    pub(crate) per_second: f64,
    /// The mean time of a transaction, in microseconds.
    pub(crate) mean_us: f64,
}

impl Database {
    pub(crate) const fn new(folder: PathBuf, pid: u32) -> Self {
        Self { folder, pid }
    }

    /// Returns the database of a [`Postgres`] in this folder.
    pub(crate) fn of(folder: PathBuf) -> Outcome<Self> {
        let file = std::fs::read_to_string(folder.join("data/postmaster.pid"))?;
        let pid = file.lines().next().ok_or("PostgreSQL has stopped")?.trim().parse()?;
        Ok(Self::new(folder, pid))
    }

    /// Returns the folder of its socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a script and returns psql's output, with bare rows.
    pub(crate) fn sql(&self, script: &str) -> Outcome<String> {
        let mut psql = self.client("psql");
        let mut psql = psql
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", "tessera"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        psql.stdin.take().ok_or("no standard input")?.write_all(script.as_bytes())?;
        let output = psql.wait_with_output()?;
        if !output.status.success() {
            return Err("psql failed".into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a script on the driver's core, with prepared statements, for this many seconds.
    pub(crate) fn pgbench(
        &self,
        script: &str,
        connections: usize,
        seconds: f64,
    ) -> Outcome<PgbenchReport> {
        let folder = Folder::new()?;
        let file = folder.0.join("script.sql");
        std::fs::write(&file, script)?;
        let output = self
            .client("pgbench")
            .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "1"])
            .args(["--client", &connections.to_string()])
            // For scripts that create IDs, which begin with the time.
            .arg(format!("--define=n={}", unix_milliseconds()))
            .arg("--time")
            .arg(format!("{:.0}", seconds.max(1.0)))
            .arg("--file")
            .arg(&file)
            .arg("tessera")
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("pgbench failed: {error}").into());
        }
        let number = |before: &str| -> Outcome<f64> {
            let rest = text.lines().find_map(|line| line.strip_prefix(before));
            let number = rest.and_then(|rest| rest.split_whitespace().next());
            Ok(number.ok_or_else(|| format!("pgbench printed no {before}"))?.parse()?)
        };
        Ok(PgbenchReport {
            per_second: number("tps = ")?,
            mean_us: number("latency average = ")? * 1e3,
        })
    }

    fn client(&self, program: &str) -> Command {
        let mut command = on_core(DRIVER, program);
        command.args(["--username", "tessera", "--host"]).arg(&self.folder);
        command
    }
}

#[expect(clippy::disallowed_methods, reason = "IDs that no earlier run has created")]
fn unix_milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
