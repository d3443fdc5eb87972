//! A running server on a free port, with a data folder that is removed with it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    command::{Finished, Tessera, binary},
    database::Database,
    http::{Answer, Request},
    wait::{PATIENCE, poll, until},
};

/// The administrator that [`Server::admin`] creates.
pub const ADMIN_EMAIL: &str = "ada@example.com";
/// The administrator's password.
pub const ADMIN_PASSWORD: &str = "violet kettle drums outside";

/// A new folder that other users can traverse: if the tests run as root, the database runs as
/// another user.
pub fn open_folder() -> TempDir {
    let folder =
        tempfile::Builder::new().prefix("tessera-test-").tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    folder
}

/// A builder for a server.
#[derive(Debug)]
pub struct ServerBuilder {
    folder: Option<TempDir>,
    data_dir: Option<PathBuf>,
    embedded: bool,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    open_files: Option<u32>,
    wait: bool,
}

/// A running server, which is stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
    setup_link: Option<String>,
    data_dir: PathBuf,
    environment: Vec<(String, String)>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    folder: Option<TempDir>,
    database: Option<Database>,
}

impl ServerBuilder {
    /// Runs PostgreSQL itself, in its data folder, as a server without `database_url` does. This
    /// takes two seconds, so it is only for tests of that database, of the data folder, and of
    /// later starts.
    #[must_use]
    pub fn embedded(mut self) -> Self {
        self.embedded = true;
        self
    }

    /// Uses this data folder with its embedded database. The folder stays when the server is
    /// dropped.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Adds an argument after `serve --listen 127.0.0.1:0`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets an environment variable, also for its command line.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Limits the number of open files.
    #[must_use]
    pub fn open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Does not wait for the database: the server only listens.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.wait = false;
        self
    }

    /// Reports whether the server gets its own database in the PostgreSQL of this test run.
    fn is_guest(&self) -> bool {
        let names = |text: &str| text == "TESSERA_DATABASE_URL" || text == "--database-url";
        let has_database = self.environment.iter().any(|(name, _)| names(name))
            || self.arguments.iter().any(|argument| names(argument));
        !(self.embedded || self.data_dir.is_some() || has_database)
    }

    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub fn start(mut self) -> Server {
        let database = self.is_guest().then(Database::create);
        if let Some(database) = &database {
            self.environment.extend(database.environment());
        }
        let folder = if self.data_dir.is_some() {
            None
        } else {
            Some(self.folder.unwrap_or_else(open_folder))
        };
        let data_dir = self.data_dir.clone().unwrap_or_else(|| {
            folder
                .as_ref()
                .map(|folder| folder.path().join("data"))
                .expect("a data folder or a temporary folder is set")
        });
        let mut command = binary(&["serve", "--listen", "127.0.0.1:0"]);
        if let Some(most) = self.open_files {
            command = with_open_files(&command, most);
        }
        command
            .args(&self.arguments)
            .env("TESSERA_DATA_DIR", &data_dir)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl+C is meant for the test runner.
            .process_group(0);
        let mut child = command.spawn().expect("the binary starts");
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        let mut server = Server {
            child,
            address: String::new(),
            setup_link: None,
            data_dir,
            environment: self.environment,
            stdout,
            stderr,
            folder,
            database,
        };
        let listening = server.wait_for_line("Listening on ");
        listening
            .rsplit("http://")
            .next()
            .unwrap_or_default()
            .trim_end_matches('/')
            .clone_into(&mut server.address);
        if self.wait {
            server.wait_until_ready();
        }
        server
    }
}

impl Server {
    /// Starts a server with a new database.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts a server with a new embedded database.
    #[track_caller]
    pub fn embedded() -> Self {
        Self::builder().embedded().start()
    }

    /// A builder for a server with special settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            folder: None,
            data_dir: None,
            embedded: false,
            arguments: Vec::new(),
            environment: Vec::new(),
            open_files: None,
            wait: true,
        }
    }

    /// Waits for the line that says it is ready, and keeps the set-up link that was printed before.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        self.wait_for_line("Ready");
        self.setup_link = self
            .stdout()
            .split_whitespace()
            .find(|word| word.contains("/setup/"))
            .map(str::to_owned);
    }

    /// Host and port, such as `127.0.0.1:40001`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its origin, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The set-up link that it printed, if any.
    pub fn setup_link(&self) -> Option<&str> {
        self.setup_link.as_deref()
    }

    /// The secret at the end of the set-up link.
    #[track_caller]
    pub fn setup_secret(&self) -> &str {
        let link = self.setup_link().expect("a set-up link was printed");
        link.rsplit('/').next().unwrap_or_default()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The URL of its database for the superuser.
    #[track_caller]
    pub fn database_url(&self) -> String {
        if let Some(database) = &self.database {
            return database.url();
        }
        let pid = fs::read_to_string(self.data_dir.join("postgres/postmaster.pid"))
            .expect("the embedded database runs");
        // Line 5 is the folder of the socket (PostgreSQL's src/include/utils/pidfile.h).
        let socket = pid.lines().nth(4).expect("the database listens");
        format!("postgres://tessera@localhost/tessera?host={socket}")
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no reader panics").clone()
    }

    /// Its log so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }

    /// Begins a request to it.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(&self.address, method, path)
    }

    /// Sends a GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    /// The command line with the same data folder and database.
    pub fn cli(&self, arguments: &[&str]) -> Tessera {
        let mut command = Tessera::on(&self.data_dir, arguments);
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        command
    }

    /// Runs a command until it exits.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.cli(arguments).run()
    }

    /// Sets the instance up without a browser: organisation, "Workspace 1" and its administrator
    /// [`ADMIN_EMAIL`] with [`ADMIN_PASSWORD`].
    #[track_caller]
    pub fn admin(&self) {
        self.cli(&["admin", "create", "--email", ADMIN_EMAIL, "--name", "Ada"])
            .input(ADMIN_PASSWORD)
            .run()
            .ok();
    }

    /// Creates a token that may manage tokens of `workspace` over REST, and verify.
    #[track_caller]
    pub fn managing_token(&self, workspace: &str) -> String {
        self.token(workspace, "manager", "tessera", &["tokens:read", "tokens:write", "verify"])
    }

    /// Creates a token on the command line and returns its secret.
    #[track_caller]
    pub fn token(&self, workspace: &str, name: &str, audience: &str, scopes: &[&str]) -> String {
        let mut arguments = vec!["token", "create", "--workspace", workspace, "--name", name];
        // Tokens that this token creates or changes expire no later than it does.
        arguments.extend(["--audience", audience, "--expires-in", "never"]);
        for scope in scopes {
            arguments.extend(["--scope", scope]);
        }
        self.run(&arguments).ok()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default()) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has exited.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the server to exit", || child.try_wait().expect("it is our child"))
    }

    /// Stops it, waits, and returns its exit status. The caller keeps the data folder.
    #[track_caller]
    pub fn stop(mut self) -> (ExitStatus, Option<TempDir>) {
        self.signal(Signal::TERM);
        let status = self.wait();
        (status, self.folder.take())
    }

    /// Kills it without cleanup.
    #[track_caller]
    pub fn kill(mut self) -> Option<TempDir> {
        self.signal(Signal::KILL);
        self.wait();
        self.folder.take()
    }

    /// Waits for a line of its output that begins with `beginning`.
    #[track_caller]
    pub fn wait_for_line(&mut self, beginning: &str) -> String {
        let found = poll(PATIENCE, || {
            let line = self.line(beginning);
            if line.is_some() || !matches!(self.child.try_wait(), Ok(Some(_))) {
                return line.map(Some);
            }
            // Its last output may still be on its way to the collecting threads.
            thread::sleep(Duration::from_millis(100));
            Some(self.line(beginning))
        });
        found.flatten().unwrap_or_else(|| {
            panic!("no line {beginning:?}\nstdout: {}\nstderr: {}", self.stdout(), self.stderr())
        })
    }
}

impl Server {
    fn line(&self, beginning: &str) -> Option<String> {
        complete_lines(&self.stdout()).find(|line| line.starts_with(beginning)).map(str::to_owned)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("The log of the server at {}:\n{}", self.address, self.stderr());
        }
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::TERM);
        let child = &mut self.child;
        if poll(Duration::from_secs(30), || child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The same command, run by a shell that first lowers the limit of open files.
fn with_open_files(command: &Command, most: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// The lines that have been printed completely.
fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let target = Arc::clone(&collected);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            target
                .lock()
                .expect("no test panics with it")
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    collected
}
