//! Gateways that verify every call with Tessera, against the same gateways with a server that
//! returns the same response and does nothing. Their configurations are those of docs/gateways.md.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Outcome,
    drive::{Order, Requests, TOKEN, exchange},
    fill::fill,
    noop::Noop,
    process::{Cpu, DRIVER, Running, SERVERS, free_port, on_core},
    rounds::{Settings, Side, is_wanted, ratio, spread},
    tessera::{Folder, Tessera},
};

const TOKENS: u32 = 10_000;
const CONNECTIONS: usize = 32;
/// The folder of the documented files.
const DOCUMENTED: &str = "end2end/gateway";
/// Programs that tools/setup.sh installs only for this project.
const OWN: &str = "target/python/bin";

/// A gateway: its program, its files, and the texts before its own port, Tessera's port and the
/// API's port in these files.
struct Kind {
    name: &'static str,
    files: &'static [&'static str],
    ports: [&'static str; 3],
    version: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "nginx",
        files: &["nginx.conf"],
        ports: ["listen 127.0.0.1:", "server 127.0.0.1:", "server 127.0.0.1:"],
        version: "-v",
    },
    Kind {
        name: "caddy",
        files: &["Caddyfile"],
        ports: ["http://:", "forward_auth 127.0.0.1:", "reverse_proxy 127.0.0.1:"],
        version: "version",
    },
    Kind {
        name: "traefik",
        files: &["traefik.yaml", "traefik-tessera.yaml"],
        ports: ["address: 127.0.0.1:", "http://127.0.0.1:", "http://127.0.0.1:"],
        version: "version",
    },
    Kind {
        name: "envoy",
        files: &["envoy.yaml"],
        ports: ["port_value: ", "port_value: ", "port_value: "],
        version: "--version",
    },
];

/// A running gateway.
struct Gateway {
    running: Running,
    url: String,
    #[expect(dead_code, reason = "removed when dropped")]
    folder: Folder,
}

/// Prints a line for each installed gateway.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let tokens = fill(&tessera, "workspace-1", TOKENS)?;
    let ask = |path: &str, tokens: Vec<String>| {
        let authorization = format!("Bearer {TOKEN}");
        Requests::new("POST", path, &[("Authorization", &authorization)], "", tokens, Order::Random)
    };
    // The response that gateways receive.
    let demand = "/auth/forward?workspace=workspace-1&audience=default&scope=rivers:run";
    let forward = ask(demand, tokens.clone())?;
    let noop = Noop::like(&tessera.url, forward.first())?;
    // On the driver's core: the API's own work is not part of the comparison.
    let api = Noop::start(DRIVER, &[], &[], "{}")?;
    let calls = ask("/api/run", tokens)?;

    writeln!(
        out,
        "A gateway that checks {TOKENS} tokens in random order with /auth/forward, against the same"
    )?;
    writeln!(
        out,
        "gateway with a server that only returns the same response; {CONNECTIONS} connections"
    )?;
    writeln!(out)?;
    for kind in KINDS.iter().filter(|kind| is_wanted(kind.name)) {
        let Some(version) = kind.version() else {
            writeln!(out, "  {:<8} skipped, not installed: tools/setup.sh gateways", kind.name)?;
            continue;
        };
        let ours = kind.start(&tessera.url, &api.url)?;
        let theirs = kind.start(&noop.url, &api.url)?;
        check(&ours.url, &calls)?;
        let pids = [[ours.running.pid, tessera.pid], [theirs.running.pid, noop.pid]];
        let side = |url, pids| Side { url, cpu: Cpu::Trees(pids), requests: &calls };
        let sides = [side(&ours.url, &pids[0]), side(&theirs.url, &pids[1])];
        // Long enough to cache all tokens where that is possible.
        sides[0].measure(CONNECTIONS, settings.seconds * 2.0, None)?;
        let rounds = settings.compare(sides, CONNECTIONS, None)?;
        let throughput = ratio(&rounds, |report| report.per_second, |report| report.per_second);
        let own = spread(&rounds, |(ours, _)| ours.per_second).median();
        let cpu = ratio(&rounds, |ours| 1.0 / ours.cpu_us, |theirs| 1.0 / theirs.cpu_us);
        let its = spread(&rounds, |(_, theirs)| theirs.per_second).median();
        writeln!(
            out,
            "  {:<8} {throughput}   {cpu}   with us {own:.0}, with it {its:.0} a second   {version}",
            kind.name
        )?;
    }
    Ok(())
}

/// Checks that a good token passes and an unknown token does not.
fn check(url: &str, calls: &Requests) -> Outcome<()> {
    let unknown = domain::token_text::compose("tsr", &"0".repeat(30));
    let good = exchange(url, calls.first())?;
    let bad = exchange(url, &calls.with(&unknown)?)?;
    if good.starts_with(b"HTTP/1.1 200") && bad.starts_with(b"HTTP/1.1 401") {
        Ok(())
    } else {
        let text = String::from_utf8_lossy;
        Err(format!("unexpected responses: {} and {}", text(&good), text(&bad)).into())
    }
}

impl Kind {
    /// Returns the program in the variable with its name, the project's own, or the system's.
    fn program(&self) -> PathBuf {
        let own = Path::new(OWN).join(self.name);
        std::env::var_os(self.name.to_uppercase())
            .map_or_else(|| if own.exists() { own } else { self.name.into() }, PathBuf::from)
    }

    fn version(&self) -> Option<String> {
        let output = Command::new(self.program()).arg(self.version).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        // The first word, or part of a word, that is a number with dots.
        let is_version = |part: &&str| {
            part.matches('.').count() == 2 && part.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        };
        let part = text
            .split(|c: char| c.is_whitespace() || c == '/')
            .map(|part| part.trim_start_matches('v'))
            .find(is_version)?;
        Some(part.to_owned())
    }

    /// Starts the gateway between the driver and the two servers.
    fn start(&self, authority: &str, api: &str) -> Outcome<Gateway> {
        let folder = Folder::new()?;
        let listen = free_port()?.to_string();
        let port = |url: &str| url.rsplit(':').next().unwrap_or_default().to_owned();
        let moves = [("8000", listen.clone()), ("3000", port(authority)), ("8080", port(api))];
        for file in self.files {
            let mut text = fs::read_to_string(Path::new(DOCUMENTED).join(file))?;
            // Uses placeholders first, because a free port may equal a documented one.
            for (before, (documented, _)) in self.ports.iter().zip(&moves) {
                text = text
                    .replace(&format!("{before}{documented}"), &format!("{before}\0{documented}"));
            }
            for (documented, port) in &moves {
                text = text.replace(&format!("\0{documented}"), port);
            }
            text = text.replace("/etc/traefik/", &format!("{}/", folder.0.display()));
            fs::write(folder.0.join(file), text)?;
        }
        let mut command = on_core(SERVERS, self.program());
        self.arguments(&folder.0, &mut command)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running::start(command)?;
        let url = format!("http://127.0.0.1:{listen}");
        // Traefik returns 404 until it has read its second file.
        let request = b"POST /api/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        running.ready(|| {
            exchange(&url, request).ok().filter(|answer| !answer.starts_with(b"HTTP/1.1 404"))
        })?;
        Ok(Gateway { running, url, folder })
    }

    fn arguments(&self, folder: &Path, command: &mut Command) -> Outcome<()> {
        let config = folder.join(self.files[0]);
        match self.name {
            "nginx" => {
                let main = folder.join("main.conf");
                fs::write(&main, nginx_main(folder, &config))?;
                command.arg("-p").arg(folder).arg("-c").arg(main).args(["-e", "stderr"]);
            }
            "caddy" => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
                // Keeps its admin endpoint and its own files in the folder.
                let admin = format!("unix/{}", folder.join("admin.sock").display());
                command.env("CADDY_ADMIN", admin).env("HOME", folder);
                command.env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
            }
            "traefik" => {
                command.arg(format!("--configFile={}", config.display()));
            }
            _ => {
                command.arg("-c").arg(config);
                command.args([
                    "--use-dynamic-base-id",
                    "--concurrency",
                    "1",
                    "--log-level",
                    "error",
                ]);
            }
        }
        Ok(())
    }
}

/// Returns a configuration like Debian's nginx.conf around conf.d, in our own folder.
fn nginx_main(folder: &Path, site: &Path) -> String {
    use std::fmt::Write as _;
    let mut main = String::from(
        "daemon off;\nworker_processes 1;\npid main.pid;\nerror_log stderr error;\nevents {}\nhttp {\n  access_log off;\n",
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(main, "  {kind}_temp_path {};", folder.join(kind).display());
    }
    let _ = writeln!(main, "  include {};\n}}", site.display());
    main
}
