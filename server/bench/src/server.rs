//! The two servers, each a process of its own on the first core.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::{Outcome, driver};

/// Measured unless `BENCH_BINARY` names another one.
const TESSERA: &str = "target/release/tessera";
const PASSWORD: &str = "a password for a benchmark";

/// A server that runs; stopped when dropped.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) pid: u32,
    child: Child,
    data: Option<PathBuf>,
}

/// What the driver sends.
pub(crate) struct Probe {
    /// The caller's own token.
    pub(crate) caller: String,
    /// The request's body, with the token to verify.
    pub(crate) body: String,
}

impl Running {
    /// Tessera with a database of its own in a temporary folder.
    pub(crate) fn tessera(arguments: &[&str]) -> Outcome<Self> {
        let data = std::env::temp_dir().join(format!("tessera-bench-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let child = pinned(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Self::started(child, Some(data))
    }

    /// The server that does nothing but answer these bytes.
    pub(crate) fn noop(answer: &str) -> Outcome<Self> {
        let child = pinned(std::env::current_exe()?)
            .args(["noop", answer])
            .stdout(Stdio::piped())
            .spawn()?;
        Self::started(child, None)
    }

    fn started(mut child: Child, data: Option<PathBuf>) -> Outcome<Self> {
        let pid = child.id();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let address =
                line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
            if let Some(address) = address {
                let end = address.match_indices('/').nth(2).map_or(address.len(), |(at, _)| at);
                let url = address[..end].to_owned();
                return Ok(Self { url, pid, child, data });
            }
        }
        Err("the server ended before it listened".into())
    }

    /// Makes an administrator and two tokens: one that may verify, one to be verified.
    pub(crate) fn prepare(&self) -> Outcome<Probe> {
        self.administrator()?;
        let caller = self.token("workspace-1", "tessera", "verify")?;
        let token = self.token("workspace-1", "default", "rivers:run")?;
        let body =
            serde_json::json!({ "token": token, "audience": "default", "scopes": ["rivers:run"] });
        Ok(Probe { caller, body: body.to_string() })
    }

    /// Makes an administrator, and with it the instance.
    pub(crate) fn administrator(&self) -> Outcome<()> {
        let mut admin = self.command(&["admin", "create", "--email", "bench@example.com"])?;
        admin.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = admin.spawn()?;
        child.stdin.take().ok_or("no standard input")?.write_all(PASSWORD.as_bytes())?;
        if !child.wait()?.success() {
            return Err("no administrator could be made".into());
        }
        Ok(())
    }

    /// Makes a workspace of this slug.
    pub(crate) fn workspace(&self, slug: &str) -> Outcome<()> {
        let arguments = ["workspace", "create", "--slug", slug, "--name", slug];
        let status = self.command(&arguments)?.stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err("no workspace could be made".into()) }
    }

    /// The folder of the socket of its own database.
    pub(crate) fn database(&self) -> Outcome<PathBuf> {
        let data = self.data.as_ref().ok_or("this server has no data folder")?;
        let pid = fs::read_to_string(data.join("postgres/postmaster.pid"))?;
        // Line 5 (PostgreSQL's src/include/utils/pidfile.h).
        Ok(pid.lines().nth(4).ok_or("the database does not listen")?.into())
    }

    /// Shows that a good token is accepted and a bad one refused; gives the good answer's body.
    pub(crate) fn check(&self, probe: &Probe) -> Outcome<String> {
        let good = driver::post(self, &probe.caller, &probe.body)?;
        let bad =
            driver::post(self, &probe.caller, &probe.body.replace("rivers:run", "rivers:write"))?;
        if good.contains("\"code\":\"VALID\"") && bad.contains("\"code\":\"INSUFFICIENT_SCOPE\"") {
            Ok(good)
        } else {
            Err(format!("unexpected answers: {good} and {bad}").into())
        }
    }

    /// A new token's secret.
    pub(crate) fn token(&self, workspace: &str, audience: &str, scope: &str) -> Outcome<String> {
        let arguments = ["token", "create", "--workspace", workspace, "--name", "bench"];
        let output = self
            .command(&arguments)?
            .args(["--audience", audience, "--scope", scope])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("no token could be made".into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn command(&self, arguments: &[&str]) -> Outcome<Command> {
        let data = self.data.as_ref().ok_or("this server has no data folder")?;
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data-dir").arg(data);
        Ok(command)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, so that the database is stopped, too.
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
        let _ = self.child.wait();
        if let Some(data) = &self.data {
            let _ = fs::remove_dir_all(data);
        }
    }
}

fn binary() -> OsString {
    std::env::var_os("BENCH_BINARY").unwrap_or_else(|| TESSERA.into())
}

/// A command on the first core; its database's processes inherit that.
fn pinned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}
