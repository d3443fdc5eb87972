//! Unread responses take little memory, and take nothing from other clients.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{collections::BTreeSet, fmt::Write as _, fs};

use crate::rest_support::{Instance, WORKSPACE, draft};
use crate::support::{
    Server,
    http2::{Connection, END_HEADERS, END_STREAM, frame, kind, request_at},
    wait::{PATIENCE, until},
};
use serde_json::json;
use tokio::time::Instant;

const MIB: usize = 1024 * 1024;
/// The maximum number of streams of a connection.
const STREAMS: u32 = 200;
/// The maximum number of streams of an address.
const OF_ADDRESS: u32 = 4_096;
/// `REFUSED_STREAM` (RFC 9113 section 7).
const REFUSED: [u8; 4] = 7_u32.to_be_bytes();

fn resident(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A connection whose peer accepts `window` bytes of each response.
fn open(server: &Server, window: u32) -> Connection {
    let mut connection = Connection::open(server.address());
    // SETTINGS_INITIAL_WINDOW_SIZE
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    connection.send(&frame(kind::SETTINGS, 0, 0, &setting));
    connection
}

/// Sends `streams` health checks. Returns how many were answered and refused before the server
/// asked the peer to close the connection.
fn ask(connection: &mut Connection, address: &str, streams: u32) -> (u32, u32) {
    let block = request_at(address, "GET", "/healthz", &[]);
    let mut all = Vec::new();
    for stream in 0..streams {
        all.extend(frame(kind::HEADERS, END_STREAM | END_HEADERS, stream * 2 + 1, &block));
    }
    connection.send(&all);
    let deadline = Instant::now() + PATIENCE;
    let (mut answered, mut refused) = (0, 0);
    while answered + refused < streams
        && let Some(frame) = connection.next_before(deadline)
    {
        match frame.kind {
            kind::HEADERS => answered += 1,
            kind::RST_STREAM => {
                assert_eq!(frame.payload, REFUSED);
                refused += 1;
            }
            kind::GOAWAY => break,
            _ => {}
        }
    }
    (answered, refused)
}

#[test]
fn stream_counts_for_its_address_until_its_last_byte_was_read() {
    let server = Server::start();
    let address = server.address();
    // Nothing of a response is read, or everything but its end.
    for window in [0, 1] {
        let mut crowd: Vec<_> = (0..21).map(|_| open(&server, window)).collect();
        let rest = OF_ADDRESS % STREAMS;
        for connection in &mut crowd[..20] {
            assert_eq!(ask(connection, address, STREAMS), (STREAMS, 0), "{window}");
        }
        let (answered, refused) = ask(&mut crowd[20], address, rest + 10);
        assert!(answered >= rest && refused > 0, "{window}: {answered}, {refused}");
        // An HTTP/1.1 connection has only one request at a time, so its streams are not limited
        // here.
        server.get("/healthz").expect(200);
        // The streams of one connection become free when the peer reads their responses.
        let mut first = crowd.swap_remove(0);
        for stream in 0..STREAMS {
            let more = 65_000_u32.to_be_bytes();
            first.send(&frame(kind::WINDOW_UPDATE, 0, stream * 2 + 1, &more));
        }
        let deadline = Instant::now() + PATIENCE;
        let mut ended = 0;
        while ended < STREAMS {
            let frame = first.next_before(deadline).expect("the rest of each response");
            ended += u32::from(frame.kind == kind::DATA && frame.flags & END_STREAM != 0);
        }
        // A new connection each time, because a connection with refused streams closes.
        until("the streams are free", || {
            (ask(&mut open(&server, 65_535), address, STREAMS).0 == STREAMS).then_some(())
        });
        // Once the responses have waited for a while, connections of the address give way to its
        // new ones.
        let mut more = Vec::new();
        until("unread responses are dropped", || {
            let mut one = open(&server, window);
            if ask(&mut one, address, STREAMS).0 == STREAMS {
                more.push(one);
            }
            (more.len() == 3).then_some(())
        });
        drop((first, crowd, more));
        until("all streams are free", || {
            let mut few: Vec<_> = (0..20).map(|_| open(&server, 0)).collect();
            let all = few.iter_mut().map(|one| ask(one, address, STREAMS).0).sum::<u32>();
            (all == 20 * STREAMS).then_some(())
        });
    }
}

#[test]
fn reserve_answers_health_checks_of_an_address_without_free_streams() {
    const CONNECTIONS: u32 = 21;
    let server = Server::builder().argument("--max-connections").argument("21").start();
    server.admin();
    let bearer = format!("Bearer {}", server.managing_token("workspace-1"));
    let address = server.address();
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("content-length", "2"),
    ];
    let mut crowd = Vec::new();
    let mut left = OF_ADDRESS - CONNECTIONS;
    for _ in 0..CONNECTIONS {
        let mut connection = open(&server, 0);
        let streams = left.min(STREAMS - 1);
        assert_eq!(ask(&mut connection, address, streams), (streams, 0));
        left -= streams;
        crowd.push(connection);
    }
    for connection in &mut crowd {
        // A request in progress, so that the connection does not give up its place.
        let block = request_at(address, "POST", "/api/v1/verify", &headers);
        let half = frame(kind::DATA, 0, STREAMS * 2 + 1, b"{");
        let head = frame(kind::HEADERS, END_HEADERS, STREAMS * 2 + 1, &block);
        connection.send(&[head, half].concat());
        // The server has read it by then.
        connection.send(&frame(kind::PING, 0, 0, b"question"));
        let deadline = Instant::now() + PATIENCE;
        while connection.next_before(deadline).unwrap().kind != kind::PING {}
    }
    // The address has as many streams as it may have.
    let mut check = open(&server, 65_535);
    assert_eq!(ask(&mut check, address, 1), (1, 0));
    // This connection is in the reserve, which answers nothing else.
    let mut other = open(&server, 65_535);
    let block = request_at(address, "GET", "/api/v1/self", &[]);
    other.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &block));
    let body = other.wait_for(kind::DATA).payload;
    assert!(String::from_utf8_lossy(&body).contains("All connections"), "{body:?}");
}

/// A token whose record has about 50 KB.
fn long_token(instance: &Instance) -> String {
    let names: Vec<String> =
        (0..300).map(|number| format!("long:{}{number:03}", "x".repeat(60))).collect();
    let mut catalogue =
        "audience = \"long\"\nname = \"Long\"\n[[groups]]\nname = \"All\"\n".to_owned();
    for name in &names {
        let _ =
            writeln!(catalogue, "[[groups.scopes]]\nname = \"{name}\"\ndescription = \"A scope.\"");
    }
    instance.server.cli(&["scopes", "load", "-"]).input(&catalogue).run().ok();
    let mut wanted = draft("long");
    wanted["audiences"] = json!(["long"]);
    wanted["scopes"] = json!(names);
    instance.mint(WORKSPACE, &wanted)
}

#[test]
fn unread_responses_of_a_known_caller_take_little_memory_and_delay_no_other_request() {
    const CONNECTIONS: usize = 20;
    let instance = Instance::start();
    let address = instance.server.address();
    let token = long_token(&instance);
    let body = json!({"token": token}).to_string();
    let bearer = format!("Bearer {}", instance.manager);
    let whole = || {
        let question = instance.managing("POST", "/api/v1/verify").json(&json!({"token": token}));
        let answer = question.send().expect(200);
        assert!(answer.json()["scopes"].as_array().unwrap().len() == 300);
        answer.text().len()
    };
    let length = whole();
    assert!(length > 20_000, "{length}");
    let before = resident(&instance.server);
    let mut crowd = Vec::new();
    // Nothing of a response is read, everything but its last byte, or only its first piece.
    for number in 0..CONNECTIONS {
        let window = [0, u32::try_from(length).unwrap() - 1, 5_000][number % 3];
        let mut connection = open(&instance.server, window);
        // The window of the connection.
        connection.send(&frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
        let size = body.len().to_string();
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("content-length", &*size),
        ];
        let block = request_at(address, "POST", "/api/v1/verify", &headers);
        let mut all = Vec::new();
        for stream in 0..STREAMS {
            all.extend(frame(kind::HEADERS, END_HEADERS, stream * 2 + 1, &block));
            all.extend(frame(kind::DATA, END_STREAM, stream * 2 + 1, body.as_bytes()));
        }
        connection.send(&all);
        // Each is answered, or was dropped for a later one.
        let deadline = Instant::now() + PATIENCE;
        let mut over = BTreeSet::new();
        while over.len() < STREAMS as usize {
            let frame = connection.next_before(deadline).expect("a response on each stream");
            if matches!(frame.kind, kind::HEADERS | kind::RST_STREAM) {
                over.insert(frame.stream);
            }
        }
        crowd.push(connection);
        whole();
    }
    let more = resident(&instance.server).saturating_sub(before);
    assert!(more <= 120 * MIB, "{} MiB more", more / MIB);
    for _ in 0..5 {
        whole();
    }
}
