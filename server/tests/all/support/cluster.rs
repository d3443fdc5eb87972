//! A PostgreSQL with custom settings: the cluster of a stopped server, with its administrator
//! [`ADMIN_EMAIL`](super::server::ADMIN_EMAIL) and its keys. It listens on a socket and on
//! 127.0.0.1.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    Server, ServerBuilder,
    process::{is_root, postmaster},
    server::open_folder,
    wait::until,
};

/// A running cluster, which is stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    data_dir: PathBuf,
    program: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Cluster {
    /// Creates a cluster that is not running yet.
    #[track_caller]
    pub fn new() -> Self {
        let folder = open_folder();
        let data_dir = folder.path().join("house");
        let server = Server::builder().data_dir(&data_dir).start();
        server.admin();
        let pid = postmaster(&data_dir).expect("a postmaster");
        let program = fs::read_link(format!("/proc/{pid}/exe")).expect("a program");
        drop(server);
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        Self { folder, data_dir, program, port, child: None }
    }

    /// Starts or restarts the cluster with these settings.
    #[track_caller]
    pub fn start(&mut self, settings: &[(&str, &str)]) {
        self.stop();
        let access = self.folder.path().join("pg_hba.conf");
        fs::write(&access, "local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
            .expect("it is ours");
        let mut command = Command::new(&self.program);
        command.arg("-D").arg(self.data_dir.join("postgres"));
        for (name, value) in [
            ("listen_addresses", "127.0.0.1"),
            ("port", &self.port.to_string()),
            ("unix_socket_directories", &self.data_dir.join("run").to_string_lossy()),
            ("hba_file", &access.to_string_lossy()),
        ]
        .iter()
        .chain(settings)
        {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        if let Some((uid, gid)) = self.owner() {
            command.uid(uid).gid(gid);
        }
        let log = fs::File::create(self.folder.path().join("log")).expect("it is ours");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(child.process_group(0).spawn().expect("postgres starts"));
        until("the cluster", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "{}", self.log());
            self.log().contains("ready to accept").then_some(())
        });
    }

    /// Stops the cluster. It keeps its port.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // An immediate shutdown does not wait for sessions.
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = child.wait();
    }

    /// A server that uses this database with this URL.
    pub fn guest(&self, url: &str) -> ServerBuilder {
        Server::builder()
            .env("TESSERA_DATABASE_URL", url)
            .env("TESSERA_KEYS_FILE", &self.keys().to_string_lossy())
    }

    /// The keys of its servers.
    pub fn keys(&self) -> PathBuf {
        self.data_dir.join("keys.toml")
    }

    /// A folder for other files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of its database on its socket.
    pub fn url(&self) -> String {
        let socket = self.data_dir.join("run");
        format!("postgres://tessera@localhost:{}/tessera?host={}", self.port, socket.display())
    }

    /// The URL of its database over TCP and TLS, at this name of 127.0.0.1.
    pub fn tls_url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://tessera@{host}:{}/tessera?{parameters}", self.port)
    }

    /// Runs a query on its socket. Returns the rows as psql prints them.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", &self.url(), "--command", sql])
            .output()
            .expect("psql is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes PostgreSQL's user the owner of a file.
    pub fn give(&self, file: &Path) {
        if let Some((uid, gid)) = self.owner() {
            chown(file, Some(uid), Some(gid)).expect("root may");
        }
    }

    /// PostgreSQL's uid and gid, if it runs as another user than the test.
    fn owner(&self) -> Option<(u32, u32)> {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::metadata(self.data_dir.join("postgres")).expect("a cluster");
        is_root().then(|| (found.uid(), found.gid()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
