//! Limits of connections: which connections make room, and which are always accepted.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::support::{
    Request, Server, ServerBuilder,
    http2::{Connection, END_HEADERS, END_STREAM, frame, kind, request_at},
    server::open_folder,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

fn limited(all: &str, of_address: &str) -> ServerBuilder {
    Server::builder()
        .argument("--max-connections")
        .argument(all)
        .argument("--max-connections-per-address")
        .argument(of_address)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Sends a request on a persistent connection, and returns the status.
fn ask(stream: &mut (impl Read + Write), path: &str) -> Option<u16> {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
    let mut bytes = [0; 2_048];
    let read = stream.read(&mut bytes).ok()?;
    std::str::from_utf8(bytes.get(9..12).filter(|_| read > 12)?).ok()?.parse().ok()
}

/// A request that stays in progress, because its body never ends.
fn busy(server: &Server, token: &str) -> TcpStream {
    let mut stream = connect(server);
    write!(
        stream,
        "POST /api/v1/verify HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 9000\r\nexpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    // The 100 Continue shows that the request is being answered.
    let mut bytes = [0; 25];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 100"));
    stream
}

fn is_closed(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 1]), Ok(1..))
}

#[test]
fn longest_idle_connection_makes_room_for_a_new_one() {
    for (all, of_address) in [("3", "100"), ("100", "3")] {
        let server = limited(all, of_address).start();
        let [mut first, mut second, mut silent] = [(); 3].map(|()| connect(&server));
        assert_eq!(ask(&mut first, "/healthz"), Some(200));
        assert_eq!(ask(&mut second, "/healthz"), Some(200));
        let mut fourth = connect(&server);
        assert_eq!(ask(&mut fourth, "/healthz"), Some(200), "{all} {of_address}");
        assert!(is_closed(&mut silent));
        let mut fifth = connect(&server);
        assert_eq!(ask(&mut fifth, "/healthz"), Some(200));
        assert!(is_closed(&mut first));
        for mut kept in [second, fourth, fifth] {
            assert_eq!(ask(&mut kept, "/healthz"), Some(200));
        }
    }
}

#[test]
fn health_checks_and_the_unix_socket_are_served_when_all_connections_are_busy() {
    let folder = open_folder();
    let socket = folder.path().join("s");
    let server = limited("2", "100").argument("--listen-unix").argument(&socket.to_string_lossy());
    let server = server.start();
    server.admin();
    let token = server.managing_token("workspace-1");
    let crowd = [busy(&server, &token), busy(&server, &token)];
    assert_eq!(ask(&mut connect(&server), "/healthz"), Some(200));
    assert_eq!(ask(&mut connect(&server), "/readyz"), Some(200));
    assert_eq!(ask(&mut connect(&server), "/api/v1/self"), Some(503));
    let local = format!("unix:{}", socket.display());
    Request::new(&local, "GET", "/api/v1/self").bearer(&token).send().expect(200);
    drop(crowd);
}

#[test]
fn address_whose_connections_are_all_busy_gets_no_more() {
    let server = limited("100", "2").start();
    server.admin();
    let token = server.managing_token("workspace-1");
    let _crowd = [busy(&server, &token), busy(&server, &token)];
    // It can use the places for health checks, too.
    assert_eq!(ask(&mut connect(&server), "/healthz"), Some(200));
    assert_eq!(ask(&mut connect(&server), "/api/v1/self"), Some(503));
}

/// An unknown caller's request whose body never arrives. The 100 Continue shows that the server
/// waits for the body.
fn waiting(server: &Server, path: &str) -> TcpStream {
    let mut stream = connect(server);
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {}\r\nsec-fetch-site: same-origin\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 90\r\nexpect: 100-continue\r\n\r\n",
        server.address()
    )
    .unwrap();
    let mut bytes = [0; 25];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 100"), "{path}: {bytes:?}");
    stream
}

#[test]
fn strangers_whose_bodies_never_arrive_make_room() {
    let server = limited("3", "100").start();
    server.admin();
    let crowd = ["/sign-in", "/sign-in", "/oauth2/revoke"];
    let _crowd = crowd.map(|path| waiting(&server, path));
    assert_eq!(ask(&mut connect(&server), "/api/v1/self"), Some(401));
}

#[test]
fn peers_that_read_no_response_make_room() {
    const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let server = limited("2", "100").start();
    let mut crowd = Vec::new();
    for path in ["/auth/forward", "/sign-in"] {
        let mut connection = Connection::open(server.address());
        connection.send(&frame(kind::SETTINGS, 0, 0, &NO_WINDOW));
        let block = request_at(server.address(), "GET", path, &[]);
        connection.send(&frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block));
        // The response has begun, and its body has to wait for a window.
        connection.wait_for(kind::HEADERS);
        crowd.push(connection);
    }
    assert_eq!(ask(&mut connect(&server), "/api/v1/self"), Some(401));
}

#[test]
fn limit_of_open_files_is_raised_to_the_maximum() {
    let server = Server::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> =
        line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
}

/// The descriptors of the files that a server has open.
fn open_files(server: &Server) -> BTreeSet<u64> {
    let files = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    files.map(|file| file.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn idle_connections_of_all_listeners_leave_file_descriptors_for_other_work() {
    let folder = open_folder();
    let socket = folder.path().join("s");
    let server = Server::builder()
        .open_files(400)
        .argument("--listen-unix")
        .argument(&socket.to_string_lossy())
        .argument("--metrics-listen")
        .argument("127.0.0.1:0")
        .start();
    let network: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = connect(&server);
            assert_eq!(ask(&mut stream, "/healthz"), Some(200));
            stream
        })
        .collect();
    let local: Vec<_> = (0..256)
        .map(|_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            assert_eq!(ask(&mut stream, "/healthz"), Some(200));
            stream
        })
        .collect();
    assert_eq!(ask(&mut connect(&server), "/readyz"), Some(200));
    let open = open_files(&server).len();
    assert!(open < 350, "{open} files");
    drop((network, local));
}

#[test]
fn longest_idle_connection_makes_room_when_file_descriptors_run_out() {
    let server = Server::start();
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(&server);
            assert_eq!(ask(&mut stream, "/healthz"), Some(200));
            stream
        })
        .collect();
    let open = open_files(&server);
    let next = (0..1 << 20).find(|number| !open.contains(number)).unwrap();
    let limit = Rlimit { current: Some(next), maximum: getrlimit(Resource::Nofile).maximum };
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();
    let mut newcomer = connect(&server);
    newcomer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(ask(&mut newcomer, "/healthz"), Some(200));
    assert!(!server.stderr().contains("cannot accept"), "{}", server.stderr());
    drop(crowd);
}
