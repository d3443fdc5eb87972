//! The instance: database, replicas, an administrator, service accounts, and the drill's own
//! tokens.

use std::{
    cell::RefCell,
    fs,
    io::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Outcome,
    arguments::{Arguments, Handicap},
    database::Database,
    history::{Direction, Outcome as Ended},
    http,
    namespace::Namespace,
    people::USERS,
    proxy::Proxy,
    random::Random,
    replica::{self, Recipe, Replica},
    stale::Stale,
    world::{Access, Cli, SCOPES, User, World},
};

const NAMES: [&str; 3] = ["A", "B", "C"];
const EMAIL: &str = "drill@example.com";
const PASSWORD: &str = "violet kettle drums outside";
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that is removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Sets everything up: three running replicas and their users.
pub(crate) async fn world(
    arguments: Arguments,
    seed: u64,
    database: Database,
    (name, folder): (&str, &Path),
) -> Outcome<World> {
    let mut random = Random::new(seed);
    database.run("postgres", &format!("CREATE DATABASE {name}")).await?;
    let environment = match arguments.handicap {
        Handicap::Deaf => vec![("TESSERA_DRILL_WITHOUT_NOTIFY", "1")],
        Handicap::EndlessLease => vec![("TESSERA_DRILL_WITHOUT_LEASE", "1")],
        Handicap::None | Handicap::StaleCache => Vec::new(),
    };
    let keys = folder.join("keys.toml");
    let recipe = Recipe { binary: arguments.binary.clone(), keys: keys.clone(), environment };
    let cli = Cli {
        binary: arguments.binary.clone(),
        database_url: database.url(name),
        keys,
        folder: folder.join("cli"),
    };
    administrator(&cli)?;
    let mut replicas = Vec::new();
    for (label, number) in NAMES.into_iter().zip(0..) {
        let namespace = arguments.namespaces.then(|| Namespace::new(number)).transpose()?;
        let ip = namespace.as_ref().map_or(Ipv4Addr::LOCALHOST, Namespace::database);
        let proxy = Proxy::start(ip, database.socket()).await?;
        let url = database.url_by(proxy.address(), name);
        let replica = Replica::new(label, (proxy, namespace), recipe.clone(), url, folder);
        replica.start().await?;
        replicas.push(replica);
    }
    let session = session(&replicas[0]).await?;
    let access = Access {
        verifier: bearer(&cli, &["verify"])?,
        manager: bearer(&cli, &["tokens:read", "tokens:write", SCOPES[0], SCOPES[1]])?,
        session,
    };
    let random = random.fork().into();
    let stale = Stale::new(arguments.handicap == Handicap::StaleCache).into();
    let world = World {
        stale,
        arguments,
        replicas,
        access,
        cli,
        database,
        random,
        history: RefCell::default(),
        pool: RefCell::default(),
        tally: RefCell::default(),
        began: Instant::now(),
    };
    for _ in 0..USERS {
        add_user(&world).await?;
    }
    Ok(world)
}

/// Creates a service account that is a member of the workspace.
pub(crate) async fn add_user(world: &World) -> Outcome<()> {
    let begin = world.now();
    let email =
        format!("robot-{}@example.com", world.pool.borrow().users.len() as u64 ^ (begin << 8));
    let body = serde_json::json!({ "kind": "service", "email": email }).to_string();
    let answer = call(world, ("/api/v1/users", &body)).await?;
    let id = answer.text(&["id"]).ok_or("the user has no ID")?;
    let body = serde_json::json!({ "user": email, "role": "member" }).to_string();
    call(world, ("/api/v1/workspaces/workspace-1/members", &body)).await?;
    let mut history = world.history.borrow_mut();
    let (enabled, member) = (history.condition(), history.condition());
    let made =
        history.begin((Direction::Widen, "create user", "the drill"), &[enabled, member], begin);
    history.end(made, Ended::Done(world.now()));
    world.pool.borrow_mut().users.push(User { id, email, enabled, member, usable: true });
    Ok(())
}

/// Posts with the administrator's session on any replica that responds.
async fn call(world: &World, (path, body): (&str, &str)) -> Outcome<http::Answer> {
    let request = http::request("POST", path, &world.access.session, body);
    let mut last = String::new();
    for attempt in 0..60 {
        let replica = &world.replicas[attempt % world.replicas.len()];
        if let Some(address) = replica.address() {
            match http::call(address, &request, PATIENCE).await {
                Ok(answer) if answer.is_done() => return Ok(answer),
                Ok(answer) => {
                    last = format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
                }
                Err(error) => last = error.to_string(),
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(format!("POST {path}: {last}").into())
}

/// Creates the administrator.
pub(crate) fn administrator(cli: &Cli) -> Outcome<()> {
    let mut command = tessera(cli, &["admin", "create", "--email", EMAIL]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(PASSWORD.as_bytes())?;
    if child.wait()?.success() { Ok(()) } else { Err("cannot create the administrator".into()) }
}

/// Returns the header with a new token that has these scopes.
pub(crate) fn bearer(cli: &Cli, scopes: &[&str]) -> Outcome<String> {
    let mut command =
        tessera(cli, &["token", "create", "--workspace", "workspace-1", "--name", "drill"]);
    command.args(["--audience", "tessera", "--audience", "default", "--expires-in", "30d"]);
    for scope in scopes {
        command.args(["--scope", scope]);
    }
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(
            format!("cannot create a token: {}", String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(format!("authorization: Bearer {}\r\n", String::from_utf8(output.stdout)?.trim()))
}

/// Returns a command of the binary on the drill's database.
pub(crate) fn tessera(cli: &Cli, arguments: &[&str]) -> std::process::Command {
    let mut command = replica::command(&cli.binary);
    command
        .args(arguments)
        .arg("--database-url")
        .arg(&cli.database_url)
        .arg("--keys-file")
        .arg(&cli.keys)
        .arg("--data-dir")
        .arg(&cli.folder);
    command
}

/// Signs the administrator in, and returns headers with the session.
async fn session(replica: &Replica) -> Outcome<String> {
    let address = replica.address().ok_or("the replica is not running")?;
    let form =
        format!("email={}&password={}", EMAIL.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nhost: {address}\r\nsec-fetch-site: same-origin\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = http::call(address, request.as_bytes(), PATIENCE).await?;
    let cookie = answer
        .head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .find_map(|(_, value)| value.split(';').next().filter(|pair| pair.starts_with("tessera=")))
        .ok_or_else(|| format!("cannot sign in: {}", answer.head))?;
    Ok(format!("cookie: {cookie}\r\nsec-fetch-site: same-origin\r\n"))
}
