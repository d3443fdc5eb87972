//! A tenant's requests delay no verifications, and keep no other clients from signing in, from the
//! database or from memory. The tests check the order of responses, on a server with one thread for
//! verifications and one for everything else.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::TcpStream,
};

use crate::rest_support::{By, Instance, OTHER, OWNER, Sql, WORKSPACE, tokens_of};
use crate::support::{
    Server, ServerBuilder,
    http2::{Connection, END_HEADERS, END_STREAM, frame, kind, request_at},
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
    wait::until,
};
use serde_json::json;

/// The number of verifications during a slow request. More than a server could answer by chance
/// before it starts that request.
const MANY: usize = 20;

fn one_thread() -> ServerBuilder {
    Server::builder().argument("--api-rate-limit").argument("0").env("TOKIO_WORKER_THREADS", "1")
}

/// A request that was sent and whose response is not awaited.
struct Pending(TcpStream);

impl Pending {
    fn send(
        server: &Server,
        request: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Self> {
        let mut head = format!("{request} HTTP/1.1\r\nhost: {}\r\n", server.address());
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(server.address())?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.set_nonblocking(true)?;
        Ok(Self(stream))
    }

    fn is_answered(&self) -> bool {
        self.0.peek(&mut [0]).is_ok()
    }
}

fn forward(instance: &Instance, token: &str) {
    let path = "/auth/forward?audience=default&scope=rivers:run";
    instance.server.request("GET", path).bearer(token).send().expect(200);
}

fn verify(instance: &Instance, token: &str) {
    let answer = instance.verify(&json!({"token": token, "audience": "default"}));
    assert_eq!(answer["code"], "VALID");
}

#[test]
fn requests_that_occupy_their_thread_delay_no_verification() {
    let server = one_thread().env("TESSERA_DRILL_STALL_MS", "2000").start();
    let instance = Instance::of(server);
    let server = &instance.server;
    let bearer = format!("Bearer {}", instance.manager);
    let token = [("authorization", bearer.as_str())];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let page = [("accept", "text/html")];
    let tokens = tokens_of(WORKSPACE);
    // One request of each kind. All of them are sent before the verifications.
    let pending: Vec<Pending> = [
        ("GET /sign-in".to_owned(), &page[..]),
        (format!("GET {tokens}"), &token),
        (format!("GET {tokens}/export"), &token),
        (format!("POST {tokens}/import?dry_run=true"), &token),
        ("POST /oauth2/revoke".to_owned(), &form),
        ("GET /ws/accounts/workspace-1/credentials/tokens".to_owned(), &token),
        ("GET /api/openapi.json".to_owned(), &[]),
        ("GET /assets/nothing".to_owned(), &[]),
    ]
    .iter()
    .map(|(request, headers)| Pending::send(server, request, headers, b"").unwrap())
    .collect();
    for _ in 0..MANY {
        forward(&instance, &instance.manager);
        verify(&instance, &instance.manager);
    }
    server.get("/healthz").expect(200);
    // A token that is not cached needs the database, but no managing thread.
    let unknown = domain::token_text::compose("tsr", &"0".repeat(30));
    server.request("GET", "/auth/forward").bearer(&unknown).send().expect(401);
    let answered = pending.iter().filter(|request| request.is_answered()).count();
    assert!(answered < pending.len() / 2, "{answered} of {} were first", pending.len());
}

/// Matching a name against this pattern takes about as long as a policy's pattern ever can.
const SLOW: &str = "(?:.{0,60}){4}";

/// Sends verifications of another tenant's token and a sign-in. Returns how many of the pending
/// requests were answered before them.
fn answered_before_others(instance: &Instance, theirs: &str, pending: &[Pending]) -> usize {
    for _ in 0..MANY {
        forward(instance, theirs);
    }
    let answered = pending.iter().filter(|request| request.is_answered()).count();
    assert!(answered < pending.len(), "verifications waited for {answered} requests");
    let sign_in = instance.server.request("POST", "/sign-in");
    let sign_in = sign_in.header("origin", &instance.server.url());
    sign_in.form(&[("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)]).send().expect(303);
    pending.iter().filter(|request| request.is_answered()).count()
}

/// Rows of an import with names of the maximum length.
fn rows(count: usize) -> String {
    let mut rows = String::new();
    for row in 0..count {
        let name = format!("{row:0>128}");
        let line = json!({"digest": format!("{row:064x}"), "name": name, "scopes": ["rivers:run"]});
        let _ = writeln!(rows, "{line}");
    }
    rows
}

#[test]
fn import_against_the_slowest_pattern_delays_neither_verifications_nor_sign_ins() {
    let instance = Instance::of(one_thread().start());
    let owner = By::Session(OWNER.to_owned());
    // No name matches, so the rows are checked and nothing is written.
    let rules = json!({"name_pattern": format!("{SLOW}x")});
    let policy = format!("/api/v1/workspaces/{WORKSPACE}/policy");
    instance.request(&owner, "PUT", &policy).json(&rules).send().expect(200);
    let theirs = instance.mint(OTHER, &json!({"name": "other tenant", "scopes": ["rivers:run"]}));

    let rows = rows(1_000);
    let import = format!("POST {}/import?dry_run=true", tokens_of(WORKSPACE));
    let bearer = format!("Bearer {}", instance.manager);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/jsonl")];
    let imports: Vec<Pending> = (0..10)
        .map(|_| Pending::send(&instance.server, &import, &headers, rows.as_bytes()).unwrap())
        .collect();
    let answered = answered_before_others(&instance, &theirs, &imports);
    assert!(answered < imports.len(), "a sign-in waited for {answered} imports");
}

#[test]
fn policy_preview_delays_neither_verifications_nor_sign_ins() {
    let instance = Instance::of(one_thread().start());
    let theirs = instance.mint(OTHER, &json!({"name": "other tenant", "scopes": ["rivers:run"]}));
    let import = instance.managing("POST", &format!("{}/import", tokens_of(WORKSPACE)));
    import.header("content-type", "application/jsonl").body(rows(1_000)).send().expect(201);

    let preview = format!("POST /api/v1/workspaces/{WORKSPACE}/policy/preview");
    let cookie = format!("tessera={OWNER}");
    let origin = instance.server.url();
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", origin.as_str()),
        ("content-type", "application/json"),
    ];
    let rules = json!({"name_pattern": SLOW}).to_string();
    // As many requests as one tenant may have waiting, and more than there are database
    // connections.
    let previews: Vec<Pending> = (0..16)
        .map(|_| Pending::send(&instance.server, &preview, &headers, rules.as_bytes()).unwrap())
        .collect();
    let answered = answered_before_others(&instance, &theirs, &previews);
    assert!(answered < previews.len(), "a sign-in waited for {answered} previews");
}

#[test]
fn parsing_catalogues_delays_no_verification() {
    let instance = Instance::of(one_thread().start());
    let theirs = instance.mint(OTHER, &json!({"name": "other tenant", "scopes": ["rivers:run"]}));
    let mut catalogue =
        "audience = \"large\"\nname = \"Large\"\n[[groups]]\nname = \"All\"\n".to_owned();
    // A body may have 64 KiB.
    for scope in 0..1_000 {
        let _ =
            writeln!(catalogue, "[[groups.scopes]]\nname = \"s{scope}:read\"\ndescription = \"d\"");
    }

    // The name differs from the path's, so the catalogue is parsed but not compared.
    let load = "PUT /api/v1/audiences/small/catalogue?dry_run=true";
    let cookie = format!("tessera={OWNER}");
    let origin = instance.server.url();
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", origin.as_str()),
        ("content-type", "application/toml"),
    ];
    let loads: Vec<Pending> = (0..14)
        .map(|_| Pending::send(&instance.server, load, &headers, catalogue.as_bytes()).unwrap())
        .collect();
    for _ in 0..5 {
        forward(&instance, &theirs);
    }
    let answered = loads.iter().filter(|load| load.is_answered()).count();
    assert!(answered < loads.len() / 2, "{answered} of {} were first", loads.len());
}

/// Requests that wait for a lock. The server writes uses without a request.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND datname = current_database() AND query NOT LIKE '%last_used_agent = %' \
                       AND query NOT LIKE '%INSERT INTO usage_hours%'";

#[test]
fn lists_of_one_tenant_leave_connections_to_other_tenants() {
    let server = Server::builder().argument("--database-max-connections").argument("8").start();
    let instance = Instance::of(server);
    let rights = json!({"name": "theirs", "audiences": ["tessera"], "scopes": ["audit:read"]});
    let theirs = instance.mint(OTHER, &rights);
    let audit = format!("/api/v1/workspaces/{OTHER}/audit");
    let ask = || instance.server.request("GET", &audit).bearer(&theirs).send().expect(200);
    // Both tokens are cached from here on.
    ask();
    instance.managing("GET", &tokens_of(WORKSPACE)).send().expect(200);

    let mut hold = Sql::on(&instance.server);
    hold.run("BEGIN; LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE");
    let bearer = format!("Bearer {}", instance.manager);
    let list = format!("GET {}", tokens_of(WORKSPACE));
    let pending: Vec<Pending> = (0..32)
        .map(|_| {
            Pending::send(&instance.server, &list, &[("authorization", &bearer)], b"").unwrap()
        })
        .collect();
    let mut look = Sql::on(&instance.server);
    until("half of the connections", || (look.number(WAITING) >= 4).then_some(()));
    (0..MANY).for_each(|_| drop(ask()));
    let waiting = look.number(WAITING);
    // One of them may be work of the server itself, such as looking up a token.
    assert!(waiting <= 5, "{waiting}");
    hold.run("COMMIT");
    until("the lists", || pending.iter().all(Pending::is_answered).then_some(()));
}

#[test]
fn large_unread_responses_of_a_tenant_are_bounded() {
    /// `:status: 429`: the index of its name in the static table, and its three digits in 17 bits
    /// (RFC 7541 section 6.2.1 and appendix B).
    const TOO_MANY: [u8; 5] = [0x48, 0x83, 0x68, 0x4F, 0xFF];
    /// `:status: 200` in the static table.
    const OK: u8 = 0x88;
    const HELD: usize = 32;
    let instance = Instance::of(Server::builder().start());
    let mut rows = String::new();
    for number in 0..200 {
        let digest = format!("{number:064x}");
        let row = json!({"digest": digest, "name": "n", "scopes": ["rivers:run"], "description": "d".repeat(600)});
        let _ = writeln!(rows, "{row}");
    }
    let import = instance.managing("POST", &format!("{}/import", tokens_of(WORKSPACE)));
    import.header("content-type", "application/jsonl").body(rows).send().expect(201);

    let bearer = format!("Bearer {}", instance.manager);
    let address = instance.server.address();
    let ask = |connection: &mut Connection, stream: u32, path: &str| {
        let block = request_at(address, "GET", path, &[("authorization", &bearer)]);
        connection.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block));
        connection.wait_for(kind::HEADERS).payload
    };
    let long = format!("{}?limit=200", tokens_of(WORKSPACE));
    // The connection's window holds part of a response, but the heads still arrive.
    let mut unread = Connection::open(address);
    for number in 0..HELD {
        let stream = u32::try_from(2 * number + 1).unwrap();
        assert_eq!(ask(&mut unread, stream, &long)[0], OK, "answer {number}");
    }
    let other_one = &mut Connection::open(address);
    assert_eq!(ask(other_one, 1, &long)[..5], TOO_MANY);
    assert_eq!(ask(other_one, 3, "/api/v1/self")[0], OK);
    drop(unread);
    let mut stream = 3;
    until("a place", || {
        stream += 2;
        (ask(other_one, stream, &long)[0] == OK).then_some(())
    });
}
