//! The host that a request names.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::rest_support::{By, Instance, OWNER, problem};
use crate::support::{
    Server,
    http2::{Connection, END_HEADERS, END_STREAM, frame, kind, request},
};

/// The status of a request with these lines after its first line.
fn status(server: &Server, path: &str, lines: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer[9..12].parse().unwrap()
}

#[test]
fn request_names_one_host() {
    let instance = Instance::start();
    let server = &instance.server;
    let token = format!("authorization: Bearer {}\r\n", instance.manager);
    let wrong = ["", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host: \r\n", "host: a/b\r\n"];
    for path in ["/api/v1/self", "/auth/forward", "/sign-in", "/assets/x", "/ws/x"] {
        for hosts in wrong {
            let lines = format!("{hosts}{token}");
            assert_eq!(status(server, path, &lines), 400, "{path} {hosts:?}");
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(server, path, ""), 200);
    }
    // Twice, because the second request is answered from memory.
    for _ in 0..2 {
        assert_eq!(status(server, "/auth/forward", &format!("host: a\r\n{token}")), 200);
    }
    for hosts in wrong {
        assert_eq!(status(server, "/auth/forward", &format!("{hosts}{token}")), 400, "{hosts:?}");
    }
}

#[test]
fn http_2_request_names_one_host() {
    let server = Server::start();
    let mut connection = Connection::open(server.address());
    for (stream, more) in [(1, &[][..]), (3, &[("host", "other.example")])] {
        let block = request("GET", "/api/v1/self", more);
        connection.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block));
        let answer = connection.wait_for(kind::HEADERS);
        // 400 has an index in the static table (RFC 7541 appendix A); 401 has none.
        assert_eq!(answer.payload[0] == 0x8c, stream == 3, "{:?}", answer.payload);
    }
}

#[test]
fn cookies_are_accepted_only_under_a_name_of_this_server() {
    let instance = Instance::of(
        Server::builder().argument("--allowed-hosts").argument("Tessera.Example").start(),
    );
    let port = instance.server.address().rsplit(':').next().unwrap().to_owned();
    let ask = |path: &str, host: &str| {
        let by = By::Session(OWNER.into());
        instance.request(&by, "GET", path).header("host", host).send()
    };
    for path in ["/api/v1/sessions", "/workspaces"] {
        for host in ["tessera.example", "localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(ask(path, &format!("{host}:{port}")).status, 200, "{path} {host}");
        }
        assert_eq!(ask(path, "evil.example").status, 400, "{path}");
    }
    let refused = problem(&ask("/api/v1/sessions", "evil.example"), 400, "malformed_request");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("evil.example") && detail.contains("allowed_hosts"), "{detail}");
    // Forms that take a credential are refused under another name as well, even without a cookie.
    for path in ["/setup", "/sign-in", "/reset-password/x", "/account/password"] {
        for method in ["GET", "POST"] {
            let request = instance.server.request(method, path);
            let evil =
                request.header("host", "evil.example").header("origin", "http://evil.example");
            assert_eq!(evil.send().status, 400, "{method} {path}");
        }
    }
    // A token is not a cookie.
    let by = By::Token(instance.manager.clone());
    instance.request(&by, "GET", "/api/v1/self").header("host", "evil.example").send().expect(200);
}
