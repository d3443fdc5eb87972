//! Callers whose rights shrink while their request is in progress: nothing is done with rights that
//! are gone, however late the body arrives and whatever the request waits for.
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
};

use crate::rest_support::{By, Instance, OWNER, Sql, WORKSPACE, tokens_of};
use crate::support::{server::ADMIN_EMAIL, wait::until};
use serde_json::{Value, json};

/// A request whose caller is already authenticated, and whose body the server waits for.
struct Late {
    stream: TcpStream,
    body: Vec<u8>,
}

impl Late {
    fn begin(instance: &Instance, by: &By, request: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let address = instance.server.address();
        let mut head = format!(
            "{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        let _ = match by {
            By::Nobody => Ok(()),
            By::Token(token) => write!(head, "authorization: Bearer {token}\r\n"),
            By::Session(secret) => {
                write!(head, "cookie: tessera={secret}\r\norigin: {}\r\n", instance.server.url())
            }
        };
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{head}\r\n").unwrap();
        // The server requests the body after it has authenticated the caller.
        let mut go_ahead = [0; 25];
        stream.read_exact(&mut go_ahead).unwrap();
        assert_eq!(&go_ahead, b"HTTP/1.1 100 Continue\r\n\r\n", "{request}");
        stream.write_all(&body[..body.len() - 1]).unwrap();
        Self { stream, body }
    }

    /// Sends the rest of the body, and returns the status.
    fn end(mut self) -> u16 {
        self.stream.write_all(&self.body[self.body.len() - 1..]).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(&answer)
    }
}

fn user_id(instance: &Instance, name: &str) -> String {
    let users =
        instance.request(&owner(), "GET", "/api/v1/users?limit=200").send().expect(200).json();
    let email = json!(format!("{name}@example.com"));
    let found = users["items"].as_array().unwrap().iter().find(|user| user["email"] == email);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Takes rights away from a person.
type Stop<'a> = &'a dyn Fn(&str);

fn owner() -> By {
    By::Session(OWNER.to_owned())
}

/// A token with all rights over tokens: its path and its secret.
fn manager(instance: &Instance, name: &str) -> (String, By) {
    let draft = json!({
        "name": name, "audiences": ["tessera", "default"],
        "scopes": ["tokens:read", "tokens:write", "members:write", "verify", "rivers:read"],
        "expires_at": "never",
    });
    let minted = instance.minted(WORKSPACE, &draft);
    let id = minted["token"]["id"].as_str().unwrap();
    let secret = minted["secret"].as_str().unwrap();
    (format!("/api/v1/tokens/{id}"), By::Token(secret.to_owned()))
}

#[test]
fn request_of_a_token_that_was_stopped_or_narrowed_meanwhile_is_not_carried_out() {
    /// Counts the usable tokens.
    const TOKENS: &str = "SELECT count(*) FROM tokens WHERE deleted_at IS NULL";
    let instance = Instance::start();
    let mut look = Sql::on(&instance.server);
    let ghost = json!({"name": "ghost", "scopes": ["rivers:read"]});
    let kriten = json!({"description": "ghost", "enabled": true, "expires": null});
    let question = json!({"token": instance.manager});
    let acts = [
        (format!("POST {}", tokens_of(WORKSPACE)), &ghost),
        ("POST /api/v1/api_tokens".to_owned(), &kriten),
        ("POST /api/v1/verify".to_owned(), &question),
        ("POST /api/v1/verify/batch".to_owned(), &json!({"items": [question]})),
    ];
    let narrowed = json!({"grants": {"default": ["rivers:read"]}});
    let stops = [
        ("DELETE", "", json!(null), 401),
        ("POST", "/disable", json!({}), 401),
        ("POST", "/expire", json!({}), 401),
        ("PATCH", "", narrowed, 403),
    ];
    for (request, body) in &acts {
        let (path, by) = manager(&instance, "unharmed");
        let status = Late::begin(&instance, &by, request, body).end();
        assert!((200..300).contains(&status), "{request}: {status}");
        instance.request(&owner(), "DELETE", &path).send().expect(204);
        let before = look.number(TOKENS);
        for (method, action, stop, wanted) in &stops {
            let (path, by) = manager(&instance, "stopped");
            let late = Late::begin(&instance, &by, request, body);
            let stopping = instance.request(&owner(), method, &format!("{path}{action}"));
            let stopping = if stop.is_null() { stopping } else { stopping.json(stop) };
            let stopped = stopping.send().status;
            assert!(stopped < 300, "{method} {action}: {stopped}");
            assert_eq!(late.end(), *wanted, "{request} after {method} {action}");
            instance.request(&owner(), "DELETE", &path).send();
        }
        assert_eq!(look.number(TOKENS), before, "{request}");
    }
}

#[test]
fn request_of_a_person_who_was_stopped_meanwhile_is_not_carried_out() {
    let instance = Instance::start();
    let mut look = Sql::on(&instance.server);
    let raise = json!({"instance_role": "admin", "enabled": true});
    let stops: [(&str, Stop<'_>); 3] = [
        ("disabled", &|user| {
            let path = format!("/api/v1/users/{user}");
            instance
                .request(&owner(), "PATCH", &path)
                .json(&json!({"enabled": false}))
                .send()
                .expect(200);
        }),
        ("demoted", &|user| {
            let path = format!("/api/v1/users/{user}");
            let role = json!({"instance_role": "member"});
            instance.request(&owner(), "PATCH", &path).json(&role).send().expect(200);
        }),
        ("signed-out", &|user| {
            let path = format!("/api/v1/sessions?user={user}");
            instance.request(&owner(), "DELETE", &path).send().expect(200);
        }),
    ];
    for (name, stop) in stops {
        let by = instance.person(name, "admin", Some("admin"));
        let user = user_id(&instance, name);
        let own = format!("PATCH /api/v1/users/{user}");
        let other = format!("other-{name}@example.com");
        let late = [
            (own, raise.clone()),
            ("POST /api/v1/users".to_owned(), json!({"email": other, "instance_role": "admin"})),
            (
                format!("POST {}", tokens_of(WORKSPACE)),
                json!({"name": name, "scopes": ["rivers:read"]}),
            ),
        ]
        .map(|(request, body)| Late::begin(&instance, &by, &request, &body));
        stop(&user);
        for late in late {
            let status = late.end();
            assert!([401, 403].contains(&status), "{name}: {status}");
        }
        let made = format!(
            "SELECT (SELECT count(*) FROM users WHERE email = '{other}')
                  + (SELECT count(*) FROM tokens WHERE name = '{name}')"
        );
        assert_eq!(look.number(&made), 0, "{name}");
    }
    let admins = format!(
        "SELECT count(*) FROM users WHERE instance_role <> 'member' AND enabled AND email NOT IN
            ('{ADMIN_EMAIL}', 'signed-out@example.com')"
    );
    assert_eq!(look.number(&admins), 0);
}

/// Statements that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// Runs two concurrent requests. Both wait for the log, the first one longer.
fn one_after_the_other(
    instance: &Instance,
    first: impl FnOnce() -> u16 + Send,
    second: impl FnOnce() -> u16 + Send,
) -> (u16, u16) {
    let mut hold = Sql::on(&instance.server);
    let mut look = Sql::on(&instance.server);
    // Row locks, which waiting transactions get in turn.
    hold.run("BEGIN; SELECT FROM audit_heads FOR UPDATE");
    thread::scope(|scope| {
        let first = scope.spawn(first);
        until("the first", || (look.number(WAITING) == 1).then_some(()));
        let second = scope.spawn(second);
        until("the second", || (look.number(WAITING) == 2).then_some(()));
        hold.run("COMMIT");
        (first.join().unwrap(), second.join().unwrap())
    })
}

#[test]
fn stop_of_a_token_and_its_own_request_are_serialised() {
    let instance = Instance::start();
    let ghost = json!({"name": "ghost", "scopes": ["rivers:read"]});
    let mint = |by: &By| instance.request(by, "POST", &tokens_of(WORKSPACE)).json(&ghost).send();
    let forward = |secret: &str| {
        let path = "/auth/forward?audience=default&scope=rivers:read";
        instance.server.request("GET", path).bearer(secret).send().status
    };

    // The stop is first, so nothing is created.
    let (path, by) = manager(&instance, "first");
    let stop = || instance.request(&owner(), "DELETE", &format!("{path}?children=true")).send();
    let (stopped, made) = one_after_the_other(&instance, || stop().status, || mint(&by).status);
    assert_eq!((stopped, made), (204, 401));

    // The request is first: the token that it creates is stopped as well, also if a child of the
    // token creates it.
    for generations in 0..2 {
        let (path, mut by) = manager(&instance, "second");
        for _ in 0..generations {
            let draft = json!({"name": "child", "audiences": ["tessera", "default"],
                               "scopes": ["tokens:write", "rivers:read"]});
            let child = instance.request(&by, "POST", &tokens_of(WORKSPACE)).json(&draft).send();
            by = By::Token(child.expect(201).json()["secret"].as_str().unwrap().to_owned());
        }
        let stop = || instance.request(&owner(), "DELETE", &format!("{path}?children=true")).send();
        let mut secret = String::new();
        let (made, stopped) = one_after_the_other(
            &instance,
            || {
                let answer = mint(&by);
                answer.json()["secret"].as_str().unwrap_or_default().clone_into(&mut secret);
                answer.status
            },
            || stop().status,
        );
        assert_eq!((made, stopped), (201, 204));
        assert_eq!(forward(&secret), 401, "generation {generations}");
    }
}

/// Sends requests of a person in every way, all of which wait for the workspace. Returns their
/// statuses after `stop`, which happens while all of them wait.
fn stopped_while_they_wait(
    instance: &Instance,
    person: &By,
    (bearer, token): (&str, &By),
    stop: impl FnOnce(),
) -> [u16; 3] {
    let (mut hold, mut look) = (Sql::on(&instance.server), Sql::on(&instance.server));
    let ghost = json!({"name": "ghost", "scopes": ["rivers:read"]});
    let kriten = json!({"description": "ghost", "enabled": true, "expires": null});
    let create =
        |by: &By| instance.request(by, "POST", &tokens_of(WORKSPACE)).json(&ghost).send().status;
    hold.run(&format!("BEGIN; SELECT FROM workspaces WHERE slug = '{WORKSPACE}' FOR UPDATE"));
    thread::scope(|scope| {
        let requests = [
            scope.spawn(|| create(person)),
            scope.spawn(|| create(token)),
            scope.spawn(|| {
                let request = instance.server.request("POST", "/api/v1/api_tokens").bearer(bearer);
                request.json(&kriten).send().status
            }),
        ];
        until("the requests", || (look.number(WAITING) == 3).then_some(()));
        stop();
        assert_eq!(look.number(WAITING), 3, "the requests still wait");
        hold.run("COMMIT");
        requests.map(|request| request.join().unwrap())
    })
}

#[test]
fn stop_of_a_person_does_not_wait_for_their_requests() {
    let instance = Instance::start();
    let mut look = Sql::on(&instance.server);
    instance.sql(
        "UPDATE policies SET max_tokens = 1000, version = version + 1 WHERE workspace_id IS NOT NULL;
         INSERT INTO policies (id, workspace_id, max_tokens, updated_at)
         SELECT gen_random_uuid(), id, 1000, now() FROM workspaces w
          WHERE NOT EXISTS (SELECT FROM policies p WHERE p.workspace_id = w.id)",
    );
    let change = |user: &str, change: Value| {
        let path = format!("/api/v1/users/{user}");
        instance.request(&owner(), "PATCH", &path).json(&change).send().expect(200);
    };
    let stops: [(&str, Stop<'_>, [u16; 3]); 6] = [
        // The person is checked as the owner of the new token before they are checked as the
        // caller.
        ("disabled", &|user| change(user, json!({"enabled": false})), [422, 422, 400]),
        ("demoted", &|user| change(user, json!({"instance_role": "member"})), [403; 3]),
        (
            "removed",
            &|user| {
                let path = format!("/api/v1/users/{user}");
                instance.request(&owner(), "DELETE", &path).send().expect(200);
            },
            [422, 422, 400],
        ),
        (
            "signed-out",
            &|user| {
                let path = format!("/api/v1/sessions?user={user}");
                instance.request(&owner(), "DELETE", &path).send().expect(200);
            },
            [401, 201, 401],
        ),
        // The person who gave them their password is removed.
        (
            "descended",
            &|_| {
                let path = format!("/api/v1/users/{}", user_id(&instance, "giver"));
                instance.request(&owner(), "DELETE", &path).send().expect(200);
            },
            [401, 201, 401],
        ),
        ("unharmed", &|_| {}, [201, 201, 200]),
    ];
    instance.person("giver", "admin", None);
    for (name, stop, expected) in stops {
        let by = instance.person(name, "admin", Some("admin"));
        let user = user_id(&instance, name);
        let bearer = format!("{name:A<43}");
        instance.sql(&format!(
            "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
             SELECT sha256('{bearer}'), '{user}', now(), now(), now() + interval '1 hour'"
        ));
        if name == "descended" {
            instance.sql(&format!(
                "UPDATE users SET password_hash = 'none', password_set_by =
                    (SELECT id FROM users WHERE email = 'giver@example.com') WHERE id = '{user}'"
            ));
        }
        let draft = json!({
            "name": name, "audiences": ["tessera", "default"], "user": format!("{name}@example.com"),
            "scopes": ["tokens:write", "verify", "rivers:read"], "expires_at": "never",
        });
        let token = By::Token(instance.mint(WORKSPACE, &draft));
        let before = look.number("SELECT count(*) FROM tokens");
        let statuses = stopped_while_they_wait(&instance, &by, (&bearer, &token), || stop(&user));
        assert_eq!(statuses, expected, "{name}");
        let made = statuses.iter().filter(|status| **status < 300).count();
        let after = look.number("SELECT count(*) FROM tokens");
        assert_eq!(after - before, i64::try_from(made).unwrap(), "{name}");
    }
}

#[test]
fn removal_of_a_member_and_their_own_request_are_serialised() {
    let instance = Instance::start();
    let friend = instance.person("friend", "member", Some("admin"));
    instance.person("pawn", "member", Some("viewer"));
    let member =
        |name: &str| format!("/api/v1/workspaces/{WORKSPACE}/members/{}", user_id(&instance, name));
    let (own, pawn) = (member("friend"), member("pawn"));
    let remove = || instance.request(&owner(), "DELETE", &own).send().status;
    let raise =
        || instance.request(&friend, "PATCH", &pawn).json(&json!({"role": "admin"})).send().status;
    let (removed, raised) = one_after_the_other(&instance, remove, raise);
    assert_eq!((removed, raised), (200, 403));
    assert_eq!(instance.request(&owner(), "GET", &pawn).send().json()["role"], "viewer");
}

/// Runs requests that wait for the locked workspace while `other` is answered.
fn while_it_waits(
    instance: &Instance,
    workspace: &str,
    waiting: impl FnOnce() -> u16 + Send,
    other: impl FnOnce(),
) -> u16 {
    let mut hold = Sql::on(&instance.server);
    let mut look = Sql::on(&instance.server);
    hold.run(&format!("BEGIN; SELECT FROM workspaces WHERE slug = '{workspace}' FOR UPDATE"));
    thread::scope(|scope| {
        let waiting = scope.spawn(waiting);
        until("the request that waits", || (look.number(WAITING) == 1).then_some(()));
        other();
        assert_eq!(look.number(WAITING), 1, "the other request waited, too");
        hold.run("COMMIT");
        waiting.join().unwrap()
    })
}

#[test]
fn request_does_not_wait_for_callers_who_may_not_change_its_record() {
    let instance = Instance::start();
    let capped = json!({"max_tokens": 1_000});
    let create = |by: &By, workspace: &str| {
        let draft = json!({"name": "one", "audiences": ["default"], "scopes": ["rivers:read"]});
        instance.request(by, "POST", &tokens_of(workspace)).json(&draft).send().status
    };
    instance.server.run(&["workspace", "create", "--slug", "other", "--name", "Other"]);
    for workspace in [WORKSPACE, "other"] {
        let path = format!("/api/v1/workspaces/{workspace}/policy");
        instance.request(&owner(), "PUT", &path).json(&capped).send().expect(200);
    }
    let admin = instance.person("neighbour", "member", None);
    let members = "/api/v1/workspaces/other/members";
    let join = json!({"user": "neighbour@example.com", "role": "admin"});
    instance.request(&owner(), "POST", members).json(&join).send().expect(201);

    // A person who is not a member.
    let stranger = instance.person("stranger", "member", Some("admin"));
    let path = format!("{members}/{}", user_id(&instance, "stranger"));
    let attack = || instance.request(&admin, "DELETE", &path).send().status;
    let status = while_it_waits(&instance, "other", attack, || {
        assert_eq!(create(&stranger, WORKSPACE), 201);
    });
    assert_eq!(status, 404);
    let narrow = instance.request(&admin, "PATCH", &path).json(&json!({"role": "viewer"}));
    narrow.send().expect(404);

    // A token of another workspace that is making a change itself.
    let (token, by) = manager(&instance, "busy");
    let attack = || {
        for (method, action) in [("DELETE", ""), ("POST", "/disable"), ("POST", "/expire")] {
            let status =
                instance.request(&admin, method, &format!("{token}{action}")).send().status;
            assert_eq!(status, 404, "{method} {action}");
        }
    };
    let made = while_it_waits(&instance, WORKSPACE, || create(&by, WORKSPACE), attack);
    assert_eq!(made, 201);
}

#[test]
fn token_that_was_bounded_meanwhile_creates_tokens_within_its_bounds() {
    let instance = Instance::start();
    let mut look = Sql::on(&instance.server);
    let create = format!("POST {}", tokens_of(WORKSPACE));
    let ghost = json!({"name": "ghost", "audiences": ["default"], "scopes": ["rivers:read"]});
    let mut endless = ghost.clone();
    endless["expires_at"] = json!("never");
    let patches = [
        json!({"expires_at": "2030-01-01T00:00:00Z"}),
        json!({"ip_allow": ["127.0.0.0/8"]}),
        json!({"rate_limit": {"limit": 5, "window_s": 3600}}),
    ];
    for patch in &patches {
        let (path, by) = manager(&instance, "bound");
        let late = [&ghost, &endless].map(|body| Late::begin(&instance, &by, &create, body));
        instance.request(&owner(), "PATCH", &path).json(patch).send().expect(200);
        let ends = patch.get("expires_at").is_some();
        let statuses = late.map(Late::end);
        assert_eq!(statuses, if ends { [201, 422] } else { [201, 201] }, "{patch}");
        let outside = format!(
            "SELECT count(*) FROM tokens child JOIN tokens parent ON parent.id = child.parent_id
              WHERE parent.id = '{}'
                AND (NOT coalesce(child.expires_at <= parent.expires_at, parent.expires_at IS NULL)
                     OR (child.ip_allow, child.rate_limit, child.rate_window_s)
                        IS DISTINCT FROM (parent.ip_allow, parent.rate_limit, parent.rate_window_s))",
            path.rsplit('/').next().unwrap()
        );
        assert_eq!(look.number(&outside), 0, "{patch}");
    }

    // With a replaced secret, a token creates nothing that outlasts the secret.
    let (path, by) = manager(&instance, "replaced");
    let late = Late::begin(&instance, &by, &create, &endless);
    let rotate = instance.request(&owner(), "POST", &format!("{path}/rotate"));
    let newer = rotate.json(&json!({"grace_s": 600})).send().expect(201).json();
    let newer = newer["secret"].as_str().unwrap().to_owned();
    let path = "/auth/forward?audience=default&scope=rivers:read";
    instance.server.request("GET", path).bearer(&newer).send().expect(200);
    assert_eq!(late.end(), 422);
}
