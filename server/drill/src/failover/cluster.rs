//! The drill's own PostgreSQL clusters: primaries, standbys, and backups that are started again.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::{Outcome, database::Database};

/// How long any operation may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(20);

/// PostgreSQL's programs, and the user that runs them.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// The user that runs PostgreSQL if the drill runs as root, because PostgreSQL refuses to run
    /// as root.
    owner: Option<String>,
}

impl Programs {
    /// Reads the variables that tools/with-postgres.sh sets.
    pub(crate) fn from_environment() -> Outcome<Self> {
        let folder = env::var("POSTGRES_BINARIES")
            .map_err(|_| "POSTGRES_BINARIES is missing: run this with tools/drill.sh")?;
        let owner =
            env::var("POSTGRES_OWNER").ok().filter(|_| rustix::process::geteuid().is_root());
        Ok(Self { folder: folder.into(), owner })
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let path = self.folder.join(program);
        let mut command = match &self.owner {
            Some(owner) => {
                let mut command = Command::new("runuser");
                command.args(["-u", owner, "--"]).arg(path);
                command
            }
            None => Command::new(path),
        };
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).current_dir("/tmp");
        command
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Outcome<()> {
        // A file instead of a pipe, because the server that pg_ctl starts would keep the pipe open.
        let log =
            env::temp_dir().join(format!("tessera-drill-{}-{program}.log", std::process::id()));
        let file = fs::File::create(&log)?;
        let mut command = self.command(program);
        let status =
            command.args(arguments).stdout(file.try_clone()?).stderr(file).status().await?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        if status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim()).into()) }
    }

    fn give(&self, folder: &Path) -> Outcome<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let status = std::process::Command::new("chown").arg(owner).arg(folder).status()?;
        if status.success() { Ok(()) } else { Err("chown".into()) }
    }
}

/// A cluster in its own folder, which is stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    home: PathBuf,
    programs: Programs,
    pub(crate) database: Database,
}

impl Cluster {
    fn in_folder(programs: &Programs, home: PathBuf) -> Outcome<Self> {
        fs::create_dir_all(&home)?;
        programs.give(&home)?;
        let database = Database::in_folder(&home);
        Ok(Self { home, programs: programs.clone(), database })
    }

    /// Creates an empty cluster.
    pub(crate) async fn create(programs: &Programs, home: PathBuf) -> Outcome<Self> {
        let cluster = Self::in_folder(programs, home)?;
        let data = cluster.data();
        let pgdata = format!("--pgdata={data}");
        let arguments =
            ["--username=tessera", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        programs.run("initdb", &[&[pgdata.as_str()][..], &arguments].concat()).await?;
        Ok(cluster)
    }

    /// Copies this cluster while it runs, as a standby or as a backup to restore.
    pub(crate) async fn copy(&self, home: PathBuf, as_standby: bool) -> Outcome<Self> {
        let copy = Self::in_folder(&self.programs, home)?;
        let (pgdata, host) =
            (format!("--pgdata={}", copy.data()), format!("--host={}", self.home.display()));
        let mut arguments =
            vec![pgdata.as_str(), &host, "--username=tessera", "--wal-method=stream"];
        arguments.extend(["--checkpoint=fast", "--no-sync"]);
        if as_standby {
            arguments.push("--write-recovery-conf");
        }
        self.programs.run("pg_basebackup", &arguments).await?;
        Ok(copy)
    }

    /// Starts the cluster and waits until it accepts queries.
    pub(crate) async fn start(&self) -> Outcome<()> {
        // A killed process loses nothing that the kernel already has, so writes need not reach the
        // disk.
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=100 \
             -c wal_level=replica -c max_wal_senders=8 -c hot_standby=on -c fsync=off",
            self.home.display()
        );
        let log = format!("--log={}/log", self.home.display());
        let (pgdata, options) =
            (format!("--pgdata={}", self.data()), format!("--options={options}"));
        self.programs.run("pg_ctl", &[&pgdata, &log, "--wait", &options, "start"]).await?;
        self.wait_for("postgres", "SELECT 'yes'", "yes").await
    }

    /// Stops the cluster without a final checkpoint, as a crash would.
    pub(crate) async fn stop(&self) -> Outcome<()> {
        let pgdata = format!("--pgdata={}", self.data());
        self.programs.run("pg_ctl", &[&pgdata, "--mode=immediate", "stop"]).await
    }

    /// Kills the postmaster (SIGKILL). Its processes exit by themselves.
    pub(crate) fn kill(&self) -> Outcome<()> {
        let text = fs::read_to_string(Path::new(&self.data()).join("postmaster.pid"))?;
        let pid = text.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or("the postmaster has no process ID")?, Signal::KILL)?)
    }

    /// Promotes a standby to primary.
    pub(crate) async fn promote(&self) -> Outcome<()> {
        self.database.run("postgres", "SELECT pg_promote(true, 60)").await?;
        self.wait_for("postgres", "SELECT pg_is_in_recovery()", "f").await
    }

    /// Waits until this standby has replayed everything of `primary`.
    pub(crate) async fn caught_up(&self, primary: &Self) -> Outcome<()> {
        let lsn = primary.database.one("postgres", "SELECT pg_current_wal_lsn()").await?;
        self.wait_for("postgres", &format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'"), "t").await
    }

    /// Stops receiving from the primary.
    pub(crate) async fn cut_off(&self) -> Outcome<()> {
        self.set("primary_conninfo", "''").await?;
        self.wait_for("postgres", "SELECT count(*) FROM pg_stat_wal_receiver", "0").await
    }

    /// Changes a setting.
    pub(crate) async fn set(&self, name: &str, value: &str) -> Outcome<()> {
        self.database.run("postgres", &format!("ALTER SYSTEM SET {name} = {value}")).await?;
        self.database.run("postgres", "SELECT pg_reload_conf()").await?;
        Ok(())
    }

    /// Runs one of PostgreSQL's client programs on the drill's database.
    pub(crate) async fn client(&self, program: &str, arguments: &[&str]) -> Outcome<()> {
        let host = format!("--host={}", self.home.display());
        let own = [host.as_str(), "--username=tessera", "--dbname=drill"];
        self.programs.run(program, &[&own[..], arguments].concat()).await
    }

    /// Waits until this query returns `wanted`.
    pub(crate) async fn wait_for(&self, database: &str, sql: &str, wanted: &str) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.database.one(database, sql).await;
            match found {
                Ok(found) if found == wanted => return Ok(()),
                found if Instant::now() > deadline => {
                    return Err(format!("{sql} returned {found:?} instead of {wanted}").into());
                }
                _ => sleep(STEP).await,
            }
        }
    }

    /// Returns the folder of its data.
    pub(crate) fn data(&self) -> String {
        self.home.join("data").display().to_string()
    }

    /// Returns the folder of its socket.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pgdata = format!("--pgdata={}", self.data());
        let mut command = self.programs.command("pg_ctl").into_std();
        command.args([&pgdata, "--mode=immediate", "--silent", "stop"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.home);
    }
}
