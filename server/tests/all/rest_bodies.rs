//! Bodies: read after the caller is authenticated, within a limit, and discarded otherwise.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::rest_support::{By, Instance, WORKSPACE, tokens_of};
use crate::support::{
    Server,
    http2::{Connection, END_HEADERS, END_STREAM, frame, kind, request, request_at},
    wait::until,
};

const MIB: usize = 1024 * 1024;

/// Every kind of route that reads a body, with the status for an unauthenticated caller that
/// declares 1 MiB.
const ROUTES: [(&str, &str, u16); 9] = [
    ("/api/v1/workspaces/workspace-1/tokens/import", "application/jsonl", 401),
    ("/api/v1/workspaces/workspace-1/tokens", "application/json", 401),
    ("/api/v1/verify", "application/json", 401),
    ("/ws/accounts/workspace-1/credentials/tokens", "application/json", 401),
    ("/api/v1/api_tokens", "application/json", 401),
    ("/v1/users/api-tokens", "application/json", 401),
    ("/oauth2/introspect", "application/x-www-form-urlencoded", 401),
    ("/oauth2/revoke", "application/x-www-form-urlencoded", 413),
    ("/api/v1/login", "application/json", 413),
];

fn resident(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// The status that arrives although the body never does.
fn status_before_the_body(server: &Server, path: &str, more: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {}\r\norigin: {}\r\ncontent-length: {MIB}\r\n{more}\r\n",
        server.address(),
        server.url(),
    )
    .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[test]
fn stranger_is_refused_before_the_body_arrives() {
    let server = Server::start();
    let forms = ["/sign-in", "/setup/x", "/theme", "/sign-out"]
        .map(|path| (path, "application/x-www-form-urlencoded", 413));
    // The server waits a little for the body of each. They wait concurrently.
    thread::scope(|scope| {
        for (path, kind, status) in ROUTES.into_iter().chain(forms) {
            let server = &server;
            scope.spawn(move || {
                let more = format!("content-type: {kind}\r\n");
                assert_eq!(status_before_the_body(server, path, &more), status, "{path}");
            });
        }
    });
    // A client that sent `Expect: 100-continue` gets the response instead of 100 Continue.
    let more = "content-type: application/json\r\nexpect: 100-continue\r\n";
    assert_eq!(status_before_the_body(&server, "/api/v1/verify", more), 401);
}

#[test]
fn known_caller_may_send_more_than_a_stranger() {
    let instance = Instance::start();
    let send = |by: &By, size: usize| {
        let body = format!("{{\"name\":\"{}\"}}", "x".repeat(size));
        let request = instance.request(by, "POST", &tokens_of(WORKSPACE));
        request.header("content-type", "application/json").body(body).send().status
    };
    let manager = By::Token(instance.manager.clone());
    assert_eq!((send(&manager, 60_000), send(&manager, 70_000)), (422, 413));
    assert_eq!(send(&By::Nobody, 60_000), 401);
    let form = |size: usize| {
        let request = instance.server.request("POST", "/oauth2/revoke");
        request.form(&[("token", &"x".repeat(size))]).send().status
    };
    assert_eq!((form(16_000), form(17_000)), (200, 413));
}

#[test]
fn strangers_take_no_memory_and_no_time_from_known_callers() {
    const CONNECTIONS: usize = 12;
    const STREAMS: u32 = 100;
    let instance = Instance::start();
    instance.managing("GET", "/api/v1/self").send().expect(200);
    let before = resident(&instance.server);
    let mut peak = before;
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (path, kind_of, _) = ROUTES[number % ROUTES.len()];
                let address = instance.server.address().to_owned();
                scope.spawn(move || {
                    let mut connection = Connection::open(&address);
                    let length = MIB.to_string();
                    let headers = [("content-type", kind_of), ("content-length", &*length)];
                    let block = request("POST", path, &headers);
                    for stream in 0..STREAMS {
                        let stream = stream * 2 + 1;
                        connection.send(&frame(kind::HEADERS, END_HEADERS, stream, &block));
                    }
                    // As much as the HTTP/2 windows let a peer send unread.
                    for stream in 0..3 {
                        connection.send(&frame(kind::DATA, 0, stream * 2 + 1, &vec![b'x'; 16_000]));
                    }
                    connection
                })
            })
            .collect();
        let mut crowd: Vec<_> = crowd.into_iter().map(|thread| thread.join().unwrap()).collect();
        for _ in 0..20 {
            instance.managing("GET", "/api/v1/self").send().expect(200);
            peak = peak.max(resident(&instance.server));
        }
        for connection in &mut crowd {
            let refusal = connection.wait_for(kind::HEADERS);
            assert_eq!(refusal.flags & END_HEADERS, END_HEADERS);
        }
        peak = peak.max(resident(&instance.server));
    });
    assert!(peak - before <= 64 * MIB, "{} MiB more", (peak - before) / MIB);
}

#[test]
fn unread_responses_to_strangers_are_soon_dropped() {
    const CONNECTIONS: usize = 8;
    const STREAMS: u32 = 150;
    const PAGES: [&str; 4] = ["/sign-in", "/setup/x", "/nowhere", "/tokens"];
    let instance = Instance::start();
    let address = instance.server.address();
    for page in PAGES {
        instance.server.request("GET", page).send();
    }
    instance.managing("GET", "/api/v1/self").send().expect(200);
    let before = resident(&instance.server);
    let mut peak = before;
    let mut crowd = Vec::new();
    for number in 0..CONNECTIONS {
        let mut connection = Connection::open(address);
        let block =
            request_at(address, "GET", PAGES[number % PAGES.len()], &[("accept", "text/html")]);
        for stream in 0..STREAMS {
            let flags = END_HEADERS | END_STREAM;
            connection.send(&frame(kind::HEADERS, flags, stream * 2 + 1, &block));
        }
        // The first response has begun, and the client stops reading.
        connection.wait_for(kind::HEADERS);
        crowd.push(connection);
        peak = peak.max(resident(&instance.server));
    }
    // The address has no free place, so the longest waiting request makes room. The newcomer's page
    // is rendered after some of the earlier ones.
    let page = || instance.server.request("GET", "/sign-in").header("accept", "text/html").send();
    until("a page", || (page().status == 200).then_some(()));
    // Callers with a credential are answered at the same time.
    instance.managing("GET", "/api/v1/self").send().expect(200);
    peak = peak.max(resident(&instance.server));
    assert!(peak - before <= 64 * MIB, "{} MiB more", (peak - before) / MIB);
    drop(crowd);
    let returned = before + 48 * MIB;
    until("memory is given back", || (resident(&instance.server) <= returned).then_some(()));
    page().expect(200);
}
