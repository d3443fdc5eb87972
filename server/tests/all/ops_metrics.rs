//! The metrics listener.

use std::net::TcpListener;

use crate::support::{Request, Server, Tessera, server::open_folder};

struct Watched {
    server: Server,
    address: String,
}

impl Watched {
    fn start() -> Self {
        let mut server =
            Server::builder().argument("--metrics-listen").argument("127.0.0.1:0").start();
        let line = server.wait_for_line("Metrics on http://");
        let address = line.trim_start_matches("Metrics on http://").trim_end_matches("/metrics");
        Self { address: address.to_owned(), server }
    }

    fn ask(&self, method: &str, path: &str) -> crate::support::Answer {
        Request::new(&self.address, method, path).send()
    }

    /// The value of a sample.
    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        let text = self.ask("GET", "/metrics").expect(200).text();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        let value = line.and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no {sample} in\n{text}"))
    }
}

#[test]
fn metrics_follow_events_and_are_served_only_on_their_own_listener() {
    let watched = Watched::start();
    let server = &watched.server;
    let answer = watched.ask("GET", "/metrics").expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for (method, path, status) in [
        ("POST", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/healthz", 404),
        ("POST", "/api/v1/verify", 404),
        ("GET", "/auth/forward", 404),
    ] {
        assert_eq!((path, watched.ask(method, path).status), (path, status));
    }
    server.get("/metrics").expect(404);

    server.admin();
    let token = server.managing_token("workspace-1");
    let counted =
        |code: &str| watched.value(&format!("tessera_verifications_total{{code=\"{code}\"}}"));
    assert!(counted("VALID") < 0.5);
    let forward = |token: &str| {
        server.request("GET", "/auth/forward?audience=tessera").bearer(token).send().status
    };
    assert_eq!([forward(&token), forward("x"), forward("y")], [200, 401, 401]);
    let verify = server.request("POST", "/api/v1/verify").bearer(&token);
    verify.json(&serde_json::json!({"token": token})).send().expect(200);
    // The caller's own token does not count as a verification, nor does a caller of the managing
    // API.
    server.request("GET", "/api/v1/self").bearer(&token).send().expect(200);
    assert!((counted("VALID") - 2.0).abs() < 0.5, "{}", counted("VALID"));
    assert!((counted("MALFORMED") - 2.0).abs() < 0.5);
    assert!(watched.value("tessera_http_requests_total{status=\"2xx\"}") > 0.5);
    assert!(watched.value("process_resident_memory_bytes") > 1e6);
    assert!(watched.value("process_start_time_seconds") > 1.7e9);
    let connections =
        |state: &str| watched.value(&format!("tessera_database_connections{{state=\"{state}\"}}"));
    assert!(connections("idle") + connections("used") > 0.5);
    assert!(!watched.server.stderr().contains("can read the metrics"), "loopback is private");
}

#[test]
fn metrics_listener_is_optional_and_warns_on_a_public_address() {
    let server = Server::start();
    server.get("/metrics").expect(404);
    assert!(!server.stdout().contains("Metrics on"), "{}", server.stdout());

    let open = Server::builder().argument("--metrics-listen").argument("0.0.0.0:0");
    let mut open = open.start();
    open.wait_for_line("Metrics on http://0.0.0.0:");
    assert!(open.stderr().contains("keep it within a private network"), "{}", open.stderr());

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = open_folder();
    let line = Tessera::on(&folder.path().join("data"), &["serve", "--listen", "127.0.0.1:0"])
        .arguments(&["--metrics-listen", &address])
        .run()
        .refused(1);
    assert!(line.contains(&address) && line.contains("--metrics-listen 127.0.0.1:"), "{line}");
}
