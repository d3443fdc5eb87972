//! The stop of a server: requests in progress finish, and no client can delay it.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{Server, wait::until};
use rustix::process::Signal;

fn logged(server: &Server, what: &str) {
    until(what, || server.stderr().contains(what).then_some(()));
}

#[test]
fn request_in_progress_completes_and_idle_connections_are_closed() {
    let mut server = Server::start();
    let mut idle = TcpStream::connect(server.address()).expect("it listens");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").expect("open");
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");

    let mut busy = TcpStream::connect(server.address()).expect("it listens");
    let head = "POST /api/v1/verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{";
    busy.write_all(head.as_bytes()).expect("open");
    // A response on another connection shows that the loop has accepted the previous one.
    server.get("/healthz").expect(200);
    server.signal(Signal::TERM);
    logged(&server, "stopping");
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("it is closed");
    busy.write_all(b"}").expect("still open");
    let mut answer = String::new();
    busy.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(server.wait().success());
    assert!(!server.stderr().contains("still in progress"), "{}", server.stderr());
}

#[test]
fn second_signal_stops_the_server_immediately() {
    let mut server = Server::start();
    let mut stuck = TcpStream::connect(server.address()).expect("it listens");
    stuck.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").expect("open");
    server.get("/healthz").expect(200);
    server.signal(Signal::TERM);
    logged(&server, "stopping");
    server.signal(Signal::INT);
    assert!(server.wait().success());
    assert!(server.stderr().contains("stopping immediately"), "{}", server.stderr());
}
