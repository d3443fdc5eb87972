//! The Unix socket in addition to the TCP port.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
};

use crate::support::{Request, Server, Tessera, server::open_folder, wait::until};
use rustix::process::Signal;
use tempfile::TempDir;

const FORWARD: &str = "/auth/forward?audience=default&scope=rivers:run";

fn builder(socket: &Path) -> crate::support::ServerBuilder {
    Server::builder().argument("--listen-unix").argument(&socket.to_string_lossy())
}

fn place() -> (TempDir, PathBuf) {
    let folder = open_folder();
    let socket = folder.path().join("tessera.sock");
    (folder, socket)
}

fn ask(socket: &Path, path: &str) -> Request {
    Request::new(&format!("unix:{}", socket.display()), "GET", path)
}

#[test]
fn socket_serves_beside_the_port_trusts_the_address_header_and_is_removed_on_exit() {
    let (_folder, socket) = place();
    let mut server = builder(&socket).start();
    server.wait_for_line(&format!("Listening on unix:{}", socket.display()));
    assert_eq!(fs::symlink_metadata(&socket).expect("there").mode() & 0o777, 0o660);
    server.get("/readyz").expect(200);
    ask(&socket, "/readyz").send().expect(200);

    server.admin();
    let token = |name: &str, more: &[&str]| {
        let create = ["token", "create", "--workspace", "workspace-1", "--name", name];
        server.cli(&create).arguments(&["--scope", "rivers:run"]).arguments(more).run().ok()
    };
    let free = token("free", &[]);
    ask(&socket, FORWARD).bearer(&free).send().expect(200);
    let bound = token("bound", &["--ip-allow", "203.0.113.0/24"]);
    for (caller, status) in [
        (None, 403),
        (Some("203.0.113.7"), 200),
        (Some("198.51.100.1, 203.0.113.7"), 200),
        (Some("203.0.113.7, 198.51.100.1"), 403),
        (Some("unknown"), 403),
    ] {
        let mut request = ask(&socket, FORWARD).bearer(&bound);
        if let Some(caller) = caller {
            request = request.header("x-forwarded-for", caller);
        }
        assert_eq!((caller, request.send().status), (caller, status));
    }
    // The port is not a trusted proxy.
    let claimed = server.request("GET", FORWARD).bearer(&bound);
    claimed.header("x-forwarded-for", "203.0.113.7").send().expect(403);

    let mut busy = UnixStream::connect(&socket).expect("it listens");
    let head = "POST /api/v1/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{";
    busy.write_all(head.as_bytes()).expect("open");
    // A response on another connection shows that the loop has accepted the previous one.
    ask(&socket, "/healthz").send().expect(200);
    server.signal(Signal::TERM);
    until("the socket to be removed", || (!socket.exists()).then_some(()));
    busy.write_all(b"}").expect("still open");
    let mut answer = String::new();
    busy.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(server.wait().success());
}

#[test]
fn proxy_in_front_of_the_socket_serves_no_page_under_another_host_name() {
    let (_folder, socket) = place();
    let mut server =
        builder(&socket).argument("--public-url").argument("https://tessera.example").start();
    server.wait_for_line("Listening on unix:");
    server.admin();
    let post = |path: &str, host: &str| {
        let request = Request::new(&format!("unix:{}", socket.display()), "POST", path);
        let request = request.header("host", host);
        if path == "/api/v1/login" {
            request.json(&serde_json::json!({"username": "x", "password": "a wrong password", "provider": "local"}))
        } else {
            request.form(&[("email", "x@example.com"), ("password", "a wrong password")])
        }
    };
    for path in ["/sign-in", "/api/v1/login", "/oauth2/revoke"] {
        let evil = post(path, "evil.example").header("origin", "https://evil.example");
        let refused = evil.header("x-forwarded-for", "203.0.113.9").send().expect(400);
        assert!(refused.text().contains("not a name of this server"), "{}", refused.text());
        // A proxy without its usual headers makes no difference: a browser's header is enough.
        post(path, "evil.example").header("origin", "https://evil.example").send().expect(400);
        let good = post(path, "tessera.example").header("origin", "https://tessera.example");
        let checked = good.header("x-forwarded-for", "203.0.113.9").send();
        assert!(!checked.text().contains("not a name of this server"), "{}", checked.text());
        if path != "/oauth2/revoke" {
            checked.expect(401);
        }
    }
    let get = |host: &str| ask(&socket, "/api/v1/account").header("host", host);
    let session = "__Host-tessera=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    get("evil.example").header("cookie", session).send().expect(400);
    get("tessera.example").header("cookie", session).send().expect(401);
    // A proxy's request to verify a token may name any host.
    let question =
        ask(&socket, FORWARD).header("host", "tessera").header("x-forwarded-for", "203.0.113.9");
    question.send().expect(401);
    // A program's own request may name any host.
    get("what ever").send().expect(401);
    get("what ever").header("x-forwarded-for", "203.0.113.9").send().expect(400);
}

#[test]
fn socket_of_a_killed_server_is_replaced_and_one_in_use_is_refused() {
    let (folder, socket) = place();
    let data_dir = folder.path().join("data");
    builder(&socket).data_dir(&data_dir).start().kill();
    assert!(socket.exists(), "a killed server leaves its socket");
    let server = builder(&socket).data_dir(&data_dir).start();
    ask(&socket, "/readyz").send().expect(200);

    let serve = |path: &Path| {
        Tessera::on(&folder.path().join("other"), &["serve", "--listen", "127.0.0.1:0"])
            .argument("--listen-unix")
            .argument(&path.to_string_lossy())
            .run()
    };
    let line = serve(&socket).refused(1);
    assert!(line.contains("another program listens on it"), "{line}");
    ask(&socket, "/readyz").send().expect(200);
    let file = folder.path().join("notes.txt");
    fs::write(&file, "precious").expect("ours");
    let line = serve(&file).refused(1);
    assert!(line.contains("notes.txt") && line.contains("is not a socket"), "{line}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "precious");
    let line = serve(&folder.path().join("s".repeat(110))).refused(2);
    assert!(line.contains("--listen-unix") && line.contains("must be shorter"), "{line}");
    drop(server);
}
