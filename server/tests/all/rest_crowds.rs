//! Many clients that send large or unfinished requests do not keep other clients waiting.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::rest_support::{By, Instance, OTHER, OWNER, Sql, WORKSPACE, draft, tokens_of};
use crate::support::{
    Request, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
    wait::until,
};
use serde_json::json;

const MIB: usize = 1024 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";
/// Tessera's statements that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// An instance on which `X-Forwarded-For` sets the addresses.
fn start() -> Instance {
    let arguments = ["--api-rate-limit=0", "--trusted-proxies=127.0.0.1"];
    let server =
        arguments.iter().fold(Server::builder(), |server, argument| server.argument(argument));
    Instance::of(server.start())
}

/// Sends the head of a request, and returns when the server waits for its body.
fn begin(server: &Server, path: &str, length: usize, headers: &[(&str, &str)]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\norigin: {}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n",
        server.address(),
        server.url(),
    );
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = [0; 25];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 100"), "{path}: {}", String::from_utf8_lossy(&bytes));
    stream
}

/// Sends `each` sign-in requests from each of these addresses, each with only one byte of its body.
fn idle_strangers(server: &Server, addresses: u16, each: usize) -> Vec<TcpStream> {
    let paths = ["/sign-in", "/api/v1/login", "/oauth2/revoke"];
    let mut crowd = Vec::new();
    for number in 0..addresses {
        let [high, low] = number.to_be_bytes();
        let address = format!("10.1.{high}.{low}");
        for count in 0..each {
            let headers = [("content-type", FORM), ("x-forwarded-for", &*address)];
            let path = paths[count % paths.len()];
            let mut stream = begin(server, path, 16_384, &headers);
            // Connections that made room for others were closed.
            let _ = stream.write_all(b"x");
            crowd.push(stream);
        }
    }
    crowd
}

#[test]
fn idle_strangers_do_not_prevent_sign_ins() {
    let instance = start();
    let server = &instance.server;
    let from = |request: Request| request.header("x-forwarded-for", "192.0.2.1");
    let everybody_is_answered = || {
        from(server.request("GET", "/sign-in")).header("accept", "text/html").send().expect(200);
        let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
        let form = server.request("POST", "/sign-in").form(&form).header("origin", &server.url());
        from(form).send().expect(303);
        let login =
            json!({"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "provider": "local"});
        from(server.request("POST", "/api/v1/login").json(&login)).send().expect(200);
        from(server.request("POST", "/oauth2/revoke").form(&[("token", "x")])).send().expect(200);
        from(instance.managing("POST", &tokens_of(WORKSPACE))).json(&draft("t")).send().expect(201);
        from(server.request("GET", "/api/v1/self")).send().expect(401);
    };
    let mut crowd = idle_strangers(server, 8, 32);
    everybody_is_answered();
    crowd.extend(idle_strangers(server, 8, 96));
    everybody_is_answered();
    drop(crowd);
    // More addresses than there are places.
    let _crowd = idle_strangers(server, 1_100, 1);
    everybody_is_answered();
}

#[test]
fn login_body_that_is_aborted_is_503_and_not_a_bad_payload() {
    let instance = start();
    let headers = [("content-type", FORM), ("x-forwarded-for", "192.0.2.1")];
    // The bodies of one address may have 512 KiB together. Beyond that, the slowest of them is
    // aborted.
    let mut crowd: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = begin(&instance.server, "/api/v1/login", 16_384, &headers);
            stream.write_all(&[b' '; 16_383]).unwrap();
            stream
        })
        .collect();
    let mut answer = [0; 1_024];
    let length = crowd[0].read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("too many requests"), "{answer}");
}

/// Six files for each of four users, of which only `bytes` are sent.
fn files_of_four(instance: &Instance, bytes: usize) -> Vec<TcpStream> {
    let path = format!("{}/import", tokens_of(OTHER));
    let mut crowd = Vec::new();
    for name in ["ann", "bob", "cid", "dan"] {
        let cookie = format!("tessera=session-{name}");
        for _ in 0..6 {
            let headers = [("content-type", "application/jsonl"), ("cookie", &*cookie)];
            let mut stream = begin(&instance.server, &path, MIB, &headers);
            let _ = stream.write_all(&vec![b' '; bytes]);
            crowd.push(stream);
        }
    }
    crowd
}

#[test]
fn files_that_never_arrive_delay_no_other_caller() {
    let instance = start();
    for name in ["ann", "bob", "cid", "dan"] {
        instance.person(name, "member", None);
        instance.sql(&format!(
            "INSERT INTO memberships (workspace_id, user_id, role, created_at)
             SELECT w.id, u.id, 'admin', now() FROM workspaces w, users u
              WHERE w.slug = '{OTHER}' AND u.email = '{name}@example.com'"
        ));
    }
    let token = instance.mint(WORKSPACE, &draft("asked about"));
    let nobody_waits = || {
        let made = instance.create(&draft("made")).expect(201).json();
        let path = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
        let change = json!({"description": "changed"});
        instance.managing("PATCH", &path).json(&change).send().expect(200);
        let body = json!({"items": [{"token": token}, {"token": token}]});
        instance.managing("POST", "/api/v1/verify/batch").json(&body).send().expect(200);
        let form = [("token", &*token)];
        instance.managing("POST", "/oauth2/introspect").form(&form).send().expect(200);
        let digest = format!("{:064x}", next_digest());
        let row = json!({"digest": digest, "name": "imported", "scopes": ["rivers:run"]});
        let import = instance.managing("POST", &format!("{}/import", tokens_of(WORKSPACE)));
        let file = format!("{row}\n{}", "\n".repeat(100_000));
        import.header("content-type", "application/jsonl").body(file).send().expect(201);
    };
    let idle = files_of_four(&instance, 1);
    nobody_waits();
    drop(idle);
    // All but the last byte: there is room for half of them.
    let _full = files_of_four(&instance, MIB - 1);
    nobody_waits();
}

/// A different number each time.
fn next_digest() -> u64 {
    thread_local!(static NEXT: std::cell::Cell<u64> = const { std::cell::Cell::new(1) });
    NEXT.replace(NEXT.get() + 1)
}

#[test]
fn file_of_a_caller_who_may_not_import_is_not_received() {
    let instance = Instance::start();
    let reader = instance.mint(WORKSPACE, &draft("reader"));
    for (token, workspace, status) in
        [(&reader, WORKSPACE, 403), (&instance.manager, OTHER, 404), (&reader, OTHER, 404)]
    {
        let mut stream = TcpStream::connect(instance.server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        write!(
            stream,
            "POST {}/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-length: {MIB}\r\ncontent-type: application/jsonl\r\nexpect: 100-continue\r\n\r\n",
            tokens_of(workspace),
        )
        .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(std::str::from_utf8(&head[9..]).unwrap(), status.to_string(), "{workspace}");
    }
}

#[test]
fn pages_for_strangers_leave_connections_and_threads_to_known_users() {
    let server = ["--trusted-proxies=127.0.0.1", "--database-max-connections=8"]
        .iter()
        .fold(Server::builder(), |server, argument| server.argument(argument));
    let instance = Instance::of(server.start());
    let owner = By::Session(OWNER.into());
    let known = |path: &str| instance.request(&owner, "GET", path).send();
    known("/api/v1/account").expect(200);

    // The page to sign in queries whether the instance is set up.
    let mut hold = Sql::on(&instance.server);
    hold.run("BEGIN; LOCK TABLE instance IN ACCESS EXCLUSIVE MODE");
    let mut crowd = Vec::new();
    for number in 0..40 {
        for path in ["/sign-in", "/console/fn/setup/open"] {
            let mut stream = TcpStream::connect(instance.server.address()).unwrap();
            let (method, more) = match path {
                "/sign-in" => ("GET", ""),
                _ => ("POST", "content-type: application/json\r\ncontent-length: 2\r\n"),
            };
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nhost: {}\r\norigin: {}\r\naccept: */*\r\n\
                 x-forwarded-for: 10.2.0.{number}\r\n{more}\r\n{}",
                instance.server.address(),
                instance.server.url(),
                if more.is_empty() { "" } else { "{}" },
            )
            .unwrap();
            crowd.push(stream);
        }
    }
    let mut look = Sql::on(&instance.server);
    until("half of the connections", || (look.number(WAITING) >= 4).then_some(()));
    for _ in 0..5 {
        known("/api/v1/account").expect(200);
        known(&tokens_of(WORKSPACE)).expect(200);
        known("/invitations").expect(200);
    }
    assert!(look.number(WAITING) <= 4);
    hold.run("COMMIT");
    let answered = |stream: &mut TcpStream| stream.read(&mut [0; 12]).is_ok_and(|read| read > 0);
    assert!(crowd.iter_mut().all(answered));
}

#[test]
fn pages_for_strangers_use_at_most_half_of_the_threads() {
    let server = ["--trusted-proxies=127.0.0.1", "--database-max-connections=32"]
        .iter()
        .fold(Server::builder(), |server, argument| server.argument(argument));
    let instance = Instance::of(server.start());
    let mut hold = Sql::on(&instance.server);
    hold.run("BEGIN; LOCK TABLE instance IN ACCESS EXCLUSIVE MODE");
    // The page to sign in queries whether the instance is set up.
    let crowd: Vec<_> = (0..64)
        .map(|number| {
            let mut stream = TcpStream::connect(instance.server.address()).unwrap();
            write!(
                stream,
                "GET /sign-in HTTP/1.1\r\nhost: {}\r\nx-forwarded-for: 10.2.0.{number}\r\n\r\n",
                instance.server.address(),
            )
            .unwrap();
            stream
        })
        .collect();
    let half = thread::available_parallelism().map_or(1, |threads| (threads.get() / 2).max(1));
    let half = i64::try_from(half).unwrap();
    let mut look = Sql::on(&instance.server);
    until("the first pages", || (look.number(WAITING) >= half.min(16)).then_some(()));
    let owner = By::Session(OWNER.into());
    for _ in 0..10 {
        instance.request(&owner, "GET", "/invitations").send().expect(200);
    }
    assert!(look.number(WAITING) <= half);
    hold.run("COMMIT");
    drop(crowd);
}
