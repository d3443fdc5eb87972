//! Other systems that verify tokens, each in production mode as its documentation describes.
//!
//! To add a system, start it in `start`, return the `Manner` of verifying tokens, and publish
//! figures only if `check` has seen it accept a good token and refuse a bad one. `tools/bench.sh
//! peers` installs the systems into target/peers.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::verify::{CONNECTIONS, questions};
use crate::{
    Outcome,
    database::Database,
    drive::{Order, Requests, exchange},
    fill::fill,
    noop::body,
    process::{Cpu, Running, SERVERS, free_port, on_core},
    rounds::{Settings, Side, is_wanted, ratio, spread},
    tessera::{Folder, Tessera},
};

const OWN: &str = "target/peers";
const PROGRAMS: &str = "server/bench/peers";
/// The number of Tessera's tokens: as many as the peers with the most have.
const TOKENS: u32 = 1_000;

/// The peers by name, as printed and as their programs are called.
const PEERS: [(&str, &str); 6] = [
    ("OpenBao, lookup-self", "openbao"),
    ("better-auth, in memory", "better-auth memory"),
    ("better-auth, on PostgreSQL", "better-auth"),
    ("node oidc-provider, introspection", "oidc-provider"),
    ("djangorestframework-api-key", "drf"),
    ("django-oauth-toolkit, introspection", "dot"),
];

/// How to verify a token, as a peer's program reports it.
#[derive(Deserialize)]
struct Manner {
    #[serde(default)]
    url: String,
    #[serde(default = "post")]
    method: String,
    path: String,
    headers: serde_json::Map<String, Value>,
    body: String,
    /// Text that only the response about a good token contains, and text of the response about a
    /// bad token.
    good: String,
    bad: String,
    tokens: Vec<String>,
}

struct Peer {
    running: Running,
    manner: Manner,
    #[expect(dead_code, reason = "removed when dropped")]
    folder: Option<Folder>,
}

fn post() -> String {
    "POST".to_owned()
}

/// Prints a table for each peer, and names the peers that do not run.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let database = tessera.database()?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let requests = questions(&caller, fill(&tessera, "workspace-1", TOKENS)?, Order::Random)?;
    let own = [tessera.pid];
    let ours = Side { url: &tessera.url, cpu: Cpu::Trees(&own), requests: &requests };
    writeln!(
        out,
        "POST /api/v1/verify against peers: throughput, ours over theirs; and responses per second \
         of"
    )?;
    writeln!(
        out,
        "CPU time, ours over theirs (all processes, without a peer's queries in the database)"
    )?;
    for (name, program) in PEERS.into_iter().filter(|(name, _)| is_wanted(name)) {
        writeln!(out)?;
        let peer = match start(program, &database).and_then(|peer| peer.check().map(|()| peer)) {
            Ok(peer) => peer,
            Err(error) => {
                writeln!(out, "  {name}: skipped, {error}")?;
                continue;
            }
        };
        let requests = peer.requests(peer.manner.tokens.clone())?;
        let its = [peer.running.pid];
        let theirs = Side { url: &peer.manner.url, cpu: Cpu::Trees(&its), requests: &requests };
        writeln!(out, "  {name}")?;
        for connections in CONNECTIONS {
            let rounds = settings.compare([ours, theirs], connections, None)?;
            let throughput = ratio(&rounds, |ours| ours.per_second, |theirs| theirs.per_second);
            let own = spread(&rounds, |(ours, _)| ours.per_second).median();
            let its = spread(&rounds, |(_, theirs)| theirs.per_second).median();
            let cpu = ratio(&rounds, |ours| 1.0 / ours.cpu_us, |theirs| 1.0 / theirs.cpu_us);
            writeln!(
                out,
                "    {connections:>4} connections  {:<28} {:<28} ours {own:.0}, its {its:.0} a second",
                throughput.with("×", 1),
                cpu.with("×", 1)
            )?;
            out.flush()?;
        }
    }
    Ok(())
}

fn start(program: &str, database: &Database) -> Outcome<Peer> {
    match program {
        "openbao" => openbao(),
        "drf" | "dot" => django(program, database),
        "better-auth memory" => node("better-auth", &["memory"]),
        "better-auth" => {
            database.sql("CREATE DATABASE better_auth")?;
            node(program, &[&database.folder().to_string_lossy(), "better_auth"])
        }
        _ => node(program, &[]),
    }
}

impl Peer {
    fn requests(&self, tokens: Vec<String>) -> Outcome<Requests> {
        let manner = &self.manner;
        let headers: Vec<(&str, &str)> = manner
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
            .collect();
        Requests::new(&manner.method, &manner.path, &headers, &manner.body, tokens, Order::Random)
    }

    /// Checks that a good token is accepted, and that a token with another character in its middle
    /// is refused.
    fn check(&self) -> Outcome<()> {
        let requests = self.requests(self.manner.tokens.clone())?;
        let mut bad =
            self.manner.tokens.first().ok_or("the peer returned no tokens")?.clone().into_bytes();
        let middle = bad.len() / 2;
        bad[middle] = if bad[middle] == b'x' { b'y' } else { b'x' };
        let tries = [
            (requests.first().to_vec(), &self.manner.good),
            (requests.with(&String::from_utf8(bad)?)?, &self.manner.bad),
        ];
        for (request, wanted) in tries {
            let answer = exchange(&self.manner.url, &request)?;
            let answer = String::from_utf8_lossy(&answer);
            if !answer.contains(wanted.as_str()) {
                return Err(format!("expected {wanted}, but got {answer}").into());
            }
        }
        Ok(())
    }
}

/// Starts one of our programs for node, which reports its manner once it listens.
fn node(program: &str, arguments: &[&str]) -> Outcome<Peer> {
    let mut command = on_core(SERVERS, "node");
    command
        .arg(format!("{PROGRAMS}/{program}/server.js"))
        .arg(format!("{OWN}/{program}"))
        .args(arguments)
        .env("NODE_ENV", "production")
        .stderr(Stdio::null());
    let (running, line) = Running::saying(command, |line| line.starts_with('{'))?;
    Ok(Peer { running, manner: serde_json::from_str(&line)?, folder: None })
}

/// Starts Django with gunicorn's threads, because its other workers don't keep connections open.
fn django(program: &str, database: &Database) -> Outcome<Peer> {
    database.sql(&format!("CREATE DATABASE {program}"))?;
    let project = Path::new(PROGRAMS).join("django");
    let python = fs::canonicalize(OWN)?.join("python/bin");
    let prepare = |command: &mut Command| {
        command
            .current_dir(&project)
            .env("BENCH_HOST", database.folder())
            .env("BENCH_DATABASE", program)
            .env("PYTHONDONTWRITEBYTECODE", "1");
    };
    let mut preparation = on_core(SERVERS, python.join("python"));
    prepare(&mut preparation);
    let made = preparation.args(["project.py", program]).output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let mut manner: Manner = serde_json::from_slice(&made.stdout)?;
    let port = free_port()?;
    manner.url = format!("http://127.0.0.1:{port}");
    let mut command = on_core(SERVERS, python.join("python"));
    prepare(&mut command);
    command
        .args(["-m", "gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "4"])
        .args(["--keep-alive", "75", "--log-level", "error", "--bind"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("project:application");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running::start(command)?;
    running
        .ready(|| exchange(&manner.url, b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n").ok())?;
    Ok(Peer { running, manner, folder: None })
}

/// Starts a server with one node and its own storage, without TLS and without an audit device.
fn openbao() -> Outcome<Peer> {
    let folder = Folder::new()?;
    let (port, cluster) = (free_port()?, free_port()?);
    let url = format!("http://127.0.0.1:{port}");
    let config = folder.0.join("bao.hcl");
    let storage = folder.0.join("data");
    fs::create_dir(&storage)?;
    let (api, storage) = (&url, storage.display());
    fs::write(
        &config,
        format!(
            "storage \"raft\" {{\n path = \"{storage}\"\n node_id = \"one\"\n}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n\
             cluster_address = \"127.0.0.1:{cluster}\"\n tls_disable = true\n}}\n\
             api_addr = \"{api}\"\ncluster_addr = \"http://127.0.0.1:{cluster}\"\nlog_level = \"error\"\n"
        ),
    )?;
    let mut command = on_core(SERVERS, format!("{OWN}/python/bin/bao"));
    command.args(["server", "-config"]).arg(config);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running::start(command)?;
    running
        .ready(|| exchange(&url, b"GET /v1/sys/init HTTP/1.1\r\nHost: localhost\r\n\r\n").ok())?;
    let initial = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let keys = call(&url, "PUT", "/v1/sys/init", "", &initial)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let root = text(&keys["root_token"]);
    call(&url, "PUT", "/v1/sys/unseal", "", &json!({ "key": keys["keys"][0] }))?;
    let make = || {
        let token = json!({ "policies": ["default"], "ttl": "24h", "no_parent": true });
        call(&url, "POST", "/v1/auth/token/create", &root, &token)
    };
    // The server takes a moment to become active.
    running.ready(|| make().ok())?;
    let tokens = (0..TOKENS)
        .map(|_| make().map(|made| text(&made["auth"]["client_token"])))
        .collect::<Outcome<Vec<_>>>()?;
    let manner = json!({
        "url": url, "method": "GET", "path": "/v1/auth/token/lookup-self",
        "headers": { "X-Vault-Token": "{token}" }, "body": "",
        "good": "HTTP/1.1 200", "bad": "HTTP/1.1 403", "tokens": tokens,
    });
    Ok(Peer { running, manner: serde_json::from_value(manner)?, folder: Some(folder) })
}

/// Calls the API of `openbao`.
fn call(url: &str, method: &str, path: &str, token: &str, body_: &Value) -> Outcome<Value> {
    let mut headers = vec![("Content-Type", "application/json")];
    if !token.is_empty() {
        headers.push(("X-Vault-Token", token));
    }
    let text = body_.to_string();
    let request = Requests::new(method, path, &headers, &text, Vec::new(), Order::Once)?;
    let answer = exchange(url, request.first())?;
    if answer.get(8..11) != Some(b" 20") {
        return Err(String::from_utf8_lossy(&answer).into());
    }
    Ok(serde_json::from_str(body(&answer)?)?)
}
