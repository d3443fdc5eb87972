//! No tenant's requests delay verifications, or keep others from signing in. Asserted by the order of
//! answers, on a server with one thread for verifications and one for everything else.

mod rest_support;
mod support;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::TcpStream,
};

use rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, tokens_of};
use serde_json::json;
use support::{
    Server, ServerBuilder,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
};

/// Verifications that are made beside a slow request. More than a server could answer by chance before
/// it begins with that request.
const MANY: usize = 20;

fn one_thread() -> ServerBuilder {
    Server::builder().argument("--api-rate-limit").argument("0").env("TOKIO_WORKER_THREADS", "1")
}

/// A request that was sent, and whose answer nobody waits for.
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
fn requests_that_hold_their_thread_delay_no_verification() {
    let server = one_thread().env("TESSERA_DRILL_STALL_MS", "2000").start();
    let instance = Instance::of(server);
    let server = &instance.server;
    let bearer = format!("Bearer {}", instance.manager);
    let token = [("authorization", bearer.as_str())];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let page = [("accept", "text/html")];
    let tokens = tokens_of(WORKSPACE);
    // One of each door; all of them come before what follows.
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
    // A token that is not in memory needs the database, and no managing thread.
    let unknown = domain::token_text::compose("tsr", &"0".repeat(30));
    server.request("GET", "/auth/forward").bearer(&unknown).send().expect(401);
    let answered = pending.iter().filter(|request| request.is_answered()).count();
    assert!(answered < pending.len() / 2, "{answered} of {} were first", pending.len());
}

/// A pattern that takes about as long to match a name as any that a policy can have.
const SLOW: &str = "(?:.{0,60}){4}";

/// Makes verifications of another tenant's token and a sign-in; returns how many of these requests were
/// answered before.
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

/// Rows of an import with names of the greatest length.
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
fn import_against_the_slowest_pattern_delays_neither_verifications_nor_others_sign_in() {
    let instance = Instance::of(one_thread().start());
    let owner = By::Session(OWNER.to_owned());
    // No name fits: the rows are checked, and nothing is written.
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
fn preview_of_a_policy_delays_neither_verifications_nor_others_sign_in() {
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
    // As many as one tenant may have waiting, and more than there are connections to the database.
    let previews: Vec<Pending> = (0..16)
        .map(|_| Pending::send(&instance.server, &preview, &headers, rules.as_bytes()).unwrap())
        .collect();
    let answered = answered_before_others(&instance, &theirs, &previews);
    assert!(answered < previews.len(), "a sign-in waited for {answered} previews");
}

#[test]
fn catalogues_that_are_read_delay_no_verification() {
    let instance = Instance::of(one_thread().start());
    let theirs = instance.mint(OTHER, &json!({"name": "other tenant", "scopes": ["rivers:run"]}));
    let mut catalogue =
        "audience = \"large\"\nname = \"Large\"\n[[groups]]\nname = \"All\"\n".to_owned();
    // A body may have 64 KiB.
    for scope in 0..1_000 {
        let _ =
            writeln!(catalogue, "[[groups.scopes]]\nname = \"s{scope}:read\"\ndescription = \"d\"");
    }

    // Another name than the path's: it is read, and nothing is compared.
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
