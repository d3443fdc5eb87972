//! HTTP/2 without TLS, on both listeners.
#![allow(clippy::allow_attributes, clippy::expect_used, reason = "a test that panics has failed")]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    Server,
    http2::{Connection, END_HEADERS, END_STREAM, Frame, frame, kind, literal, request},
    server::open_folder,
    wait::{PATIENCE, until},
};
use rustix::process::Signal;
use tokio::time::Instant;

const ENHANCE_YOUR_CALM: u32 = 11;
/// `:status: 403`: the index of its name in the static table, and its three digits in 17 bits (RFC
/// 7541 section 6.2.1 and appendix B).
const FORBIDDEN: [u8; 5] = [0x48, 0x83, 0x68, 0x0C, 0xFF];

/// Returns `<version> <status>` of a response, as reported by curl, an example of a client.
fn curl(socket: Option<&Path>, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    if let Some(path) = socket {
        command.arg("--unix-socket").arg(path);
    }
    let output = command
        .args(["--silent", "--show-error", "--output", "/dev/null", "--max-time", "60"])
        .args(["--write-out", "%{http_version} %{response_code}"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("curl is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    format!("{}{error}", String::from_utf8_lossy(&output.stdout))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

#[test]
fn curl_speaks_either_version_on_either_listener() {
    let folder = open_folder();
    let socket = folder.path().join("tessera.sock");
    let server = Server::builder().argument("--listen-unix").argument(&socket.to_string_lossy());
    let server = server.start();
    let prior = "--http2-prior-knowledge";
    let ready = format!("{}/readyz", server.url());
    assert_eq!(curl(None, &[prior, &ready]), "2 200");
    assert_eq!(curl(None, &["--http1.1", &ready]), "1.1 200");
    // A client that requests an upgrade is served in its current version.
    assert_eq!(curl(None, &["--http2", &ready]), "1.1 200");
    assert_eq!(curl(Some(&socket), &[prior, "http://localhost/readyz"]), "2 200");
    assert_eq!(curl(Some(&socket), &["http://localhost/readyz"]), "1.1 200");
    let problem = format!("{}/api/v1/self", server.url());
    assert_eq!(curl(None, &[prior, "--data", "x", &problem]), "2 405");

    // The console recognises its own pages by the host, which differs from the public URL here.
    let host = server.url().replace("127.0.0.1", "localhost");
    let sign_in = format!("{host}/sign-in");
    let own = format!("origin: {host}");
    let posts = |origin: &str| curl(None, &[prior, "--header", origin, "--data", "a=b", &sign_in]);
    assert_ne!(posts(&own), "2 403");
    assert_eq!(posts("origin: http://evil.example"), "2 403");
}

/// Some clients treat the rest of a request as an error if the response arrives before its end:
/// curl 7.88 then reports a broken stream and never shows the response.
#[test]
fn refusal_is_sent_after_the_end_of_the_refused_request() {
    let server = Server::builder().argument("--allowed-hosts").argument("tessera.example").start();
    let evil = ("origin", "http://evil.example");
    let cookie = ("cookie", "tessera=x");
    for path in ["/sign-in", "/api/v1/self/password", "/api/v1/verify"] {
        let mut connection = Connection::open(server.address());
        let block = request("POST", path, &[evil, cookie, ("content-length", "3")]);
        connection.send(&frame(kind::HEADERS, END_HEADERS, 1, &block));
        connection.send(&frame(kind::DATA, 0, 1, b"a="));
        // By the time of several other responses, it would have been sent.
        for stream in [3, 5, 7, 9] {
            let block = request("GET", "/healthz", &[]);
            connection.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block));
            assert_eq!(connection.wait_for(kind::HEADERS).stream, stream, "{path}");
        }
        connection.send(&frame(kind::DATA, END_STREAM, 1, b"b"));
        let answer = connection.wait_for(kind::HEADERS);
        assert_eq!(answer.stream, 1, "{path}");
        assert_eq!(answer.payload[..5], FORBIDDEN, "{path}");
    }
}

#[test]
fn limits_are_announced_and_enforced() {
    let server = Server::builder().without_waiting().start();
    let mut connection = Connection::open(server.address());
    let settings = connection.wait_for(kind::SETTINGS).payload;
    let setting = |wanted: u16| {
        settings
            .chunks(6)
            .find(|chunk| chunk[..2] == wanted.to_be_bytes())
            .map(|chunk| number(&chunk[2..]))
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_MAX_HEADER_LIST_SIZE.
    assert_eq!((setting(3), setting(6)), (Some(200), Some(32 * 1024)));

    let ask = |stream: u32, more: &[(&str, &str)]| {
        let block = request("GET", "/healthz", more);
        frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block)
    };
    connection.send(&ask(1, &[]));
    let answer = connection.wait_for(kind::HEADERS);
    // ":status: 200" is number 8 of the static table.
    assert_eq!((answer.stream, answer.payload[0]), (1, 0x88));

    let long = "x".repeat(1_600);
    let many = vec![("x-long", long.as_str()); 9];
    connection.send(&ask(3, &many));
    let answer = connection.wait_for(kind::HEADERS);
    assert_eq!((answer.stream, answer.payload[0]), (3, 0x88), "15 KB are fine");
    // Twice as many headers as allowed. Each is an index into a table after it was named once.
    let mut block = request("GET", "/healthz", &[]);
    block.push(0x40);
    literal(&mut block, "x-long");
    literal(&mut block, &long);
    block.extend(vec![0xBE; 45]);
    connection.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, 5, &block));
    let answer = connection.wait_for(kind::HEADERS);
    assert_eq!(answer.stream, 5);
    assert_ne!(answer.payload[0], 0x88, "{answer:?}");
}

/// A header takes more memory than it has bytes on the wire, where it can be very short.
#[test]
fn request_with_many_short_headers_is_refused_immediately() {
    let server = Server::builder().without_waiting().start();
    let mut connection = Connection::open(server.address());
    for (stream, headers, is_fine) in [(1, 80, true), (3, 101, false), (5, 900, false)] {
        let mut block = request("POST", "/api/v1/verify", &[]);
        block.push(0x40);
        literal(&mut block, "a");
        literal(&mut block, "");
        block.extend(vec![0xBE; headers - 1]);
        // The body never arrives.
        connection.send(&frame(kind::HEADERS, END_HEADERS, stream, &block));
        let answer = connection.wait_for(kind::HEADERS);
        assert_eq!(answer.stream, stream);
        // A status that the static table does not contain: 401, or 431.
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        let body = connection.wait_for(kind::DATA);
        let body = String::from_utf8_lossy(&body.payload).into_owned();
        assert_eq!(body.contains("headers_too_large"), !is_fine, "{headers}: {text} {body}");
    }
}

#[test]
fn streams_that_are_opened_only_to_be_reset_close_the_connection() {
    let server = Server::builder().without_waiting().start();
    let mut connection = Connection::open(server.address());
    connection.wait_for(kind::SETTINGS);
    let block = request("GET", "/healthz", &[]);
    let mut flood = Vec::new();
    for stream in (1..2_000).step_by(2) {
        flood.extend(frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block));
        flood.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    connection.send(&flood);
    let end = connection.wait_for(kind::GOAWAY);
    assert_eq!(number(&end.payload[4..8]), ENHANCE_YOUR_CALM);
    server.get("/healthz").expect(200);
}

#[test]
fn draining_server_completes_requests_in_progress_and_accepts_no_others() {
    let mut server = Server::start();
    server.admin();
    let bearer = format!("Bearer {}", server.managing_token("workspace-1"));
    let mut idle = Connection::open(server.address());
    let mut busy = Connection::open(server.address());
    // The server would not wait for the body of an unknown caller.
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("content-length", "2"),
    ];
    let block = request("POST", "/api/v1/verify", &headers);
    busy.send(&frame(kind::HEADERS, END_HEADERS, 1, &block));
    busy.send(&frame(kind::DATA, 0, 1, b"{"));
    // A response on the same connection shows that the server has seen the earlier stream.
    let block = request("GET", "/healthz", &[]);
    busy.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, 3, &block));
    assert_eq!(busy.wait_for(kind::HEADERS).stream, 3);
    idle.wait_for(kind::SETTINGS);
    server.signal(Signal::TERM);
    until("the signal", || server.stderr().contains("stopping").then_some(()));

    let Frame { payload, .. } = busy.wait_for(kind::GOAWAY);
    assert_eq!(number(&payload[4..8]), 0, "no error");
    busy.send(&frame(kind::DATA, END_STREAM, 1, b"}"));
    let answer = busy.wait_for(kind::HEADERS);
    assert_eq!(answer.stream, 1);
    idle.wait_for(kind::GOAWAY);
    let deadline = Instant::now() + PATIENCE;
    while let Some(frame) = idle.next_before(deadline) {
        if frame.kind == kind::PING && frame.flags == 0 {
            idle.send(&crate::support::http2::frame(kind::PING, 1, 0, &frame.payload));
        }
    }
    while busy.next_before(deadline).is_some() {}
    assert!(server.wait().success());
    assert!(!server.stderr().contains("still in progress"), "{}", server.stderr());
}
