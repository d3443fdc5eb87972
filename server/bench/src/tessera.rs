//! A Tessera server with its own data in a temporary folder.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    Outcome,
    database::Database,
    drive::exchange,
    process::{Running, SERVERS, on_core},
};

/// The measured binary unless `BENCH_BINARY` names another.
const TESSERA: &str = "target/release/tessera";
pub(crate) const PASSWORD: &str = "violet kettle drums outside";
/// The owner of the tokens from `fill`.
pub(crate) const PERSON: &str = "bench@example.com";

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A server of the measured program.
pub(crate) struct Tessera {
    #[expect(dead_code, reason = "stopped when dropped, before its folder is removed")]
    running: Running,
    pub(crate) url: String,
    pub(crate) pid: u32,
    data: Folder,
    /// The argument with the URL of an external database.
    elsewhere: Vec<String>,
}

/// A folder that is removed when dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Creates a new folder.
    pub(crate) fn new() -> Outcome<Self> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("tessera-bench-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Tessera {
    /// Starts a new instance with an administrator and the workspace `workspace-1`. The measurement
    /// concerns the server's speed, so API calls are not limited.
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        Self::serve(on_core(SERVERS, binary()), arguments)
    }

    /// Starts an instance with another binary.
    pub(crate) fn start_other(binary: &OsStr) -> Outcome<Self> {
        Self::serve(on_core(SERVERS, binary), &[])
    }

    /// Starts an instance that another program runs, such as valgrind.
    pub(crate) fn start_under(runner: &[&str]) -> Outcome<Self> {
        let (program, options) =
            runner.split_first().ok_or("the program to run Tessera is missing")?;
        let mut command = on_core(SERVERS, program);
        command.args(options).arg(binary());
        Self::serve(command, &[])
    }

    fn serve(mut command: Command, arguments: &[&str]) -> Outcome<Self> {
        let data = Folder::new()?;
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--api-rate-limit", "0", "--data-dir"])
            .arg(&data.0)
            // Trusts gateways to name their callers.
            .args(["--trusted-proxies", "127.0.0.1"])
            .args(arguments)
            .stderr(Stdio::null());
        let (mut running, url) = Running::listening(command)?;
        let ready = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        running.ready(|| {
            exchange(&url, ready).ok().filter(|answer| answer.starts_with(b"HTTP/1.1 200"))
        })?;
        let elsewhere = arguments
            .windows(2)
            .find(|pair| pair[0] == "--database-url")
            .map_or_else(Vec::new, |pair| pair.iter().map(ToString::to_string).collect());
        let tessera = Self { pid: running.pid, running, url, data, elsewhere };
        tessera.administrator()?;
        Ok(tessera)
    }

    fn administrator(&self) -> Outcome<()> {
        let mut admin = self.command(&["admin", "create", "--email", PERSON]);
        admin.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = admin.spawn()?;
        child.stdin.take().ok_or("no standard input")?.write_all(PASSWORD.as_bytes())?;
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!("cannot create the administrator: {error}").into())
    }

    /// Creates a workspace with this slug.
    pub(crate) fn workspace(&self, slug: &str) -> Outcome<()> {
        let arguments = ["workspace", "create", "--slug", slug, "--name", slug];
        let status =
            self.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err("cannot create the workspace".into()) }
    }

    /// Sets a rule of a workspace's policy.
    pub(crate) fn policy(&self, workspace: &str, rule: &str) -> Outcome<()> {
        let arguments = ["policy", "set", "--workspace", workspace, rule];
        let output = self.command(&arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!("cannot set the policy: {error}").into())
    }

    /// Creates a token and returns its secret. Audiences and scopes are separated by spaces.
    pub(crate) fn token(&self, workspace: &str, audiences: &str, scopes: &str) -> Outcome<String> {
        let arguments = ["token", "create", "--workspace", workspace, "--name", "bench"];
        let mut command = self.command(&arguments);
        for audience in audiences.split(' ') {
            command.args(["--audience", audience]);
        }
        for scope in scopes.split(' ') {
            command.args(["--scope", scope]);
        }
        let output = command.output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cannot create a token: {error}").into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Returns the server's database.
    pub(crate) fn database(&self) -> Outcome<Database> {
        if let Some((_, folder)) = self.elsewhere.last().and_then(|url| url.split_once("host=")) {
            return Database::of(folder.into());
        }
        let file = fs::read_to_string(self.data.0.join("postgres/postmaster.pid"))?;
        // Lines 1 and 5 (PostgreSQL's src/include/utils/pidfile.h).
        let line = |index| file.lines().nth(index).ok_or("the database is not listening");
        Ok(Database::new(line(4)?.into(), line(0)?.trim().parse()?))
    }

    /// Returns the key for digests of secrets.
    pub(crate) fn pepper(&self) -> Outcome<String> {
        let keys: toml::Table = fs::read_to_string(self.data.0.join("keys.toml"))?.parse()?;
        let key = keys
            .get("pepper")
            .and_then(|peppers| peppers.get(0))
            .and_then(|pepper| pepper.get("key"))
            .and_then(toml::Value::as_str)
            .ok_or("the keys file has no pepper")?;
        Ok(key.to_owned())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data-dir").arg(&self.data.0).args(&self.elsewhere);
        command
    }
}

/// Returns the path of the measured program.
pub(crate) fn binary() -> OsString {
    std::env::var_os("BENCH_BINARY").unwrap_or_else(|| TESSERA.into())
}
