//! `Idempotency-Key`: a repeated request changes nothing and gets the same response.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{io::Write as _, net::TcpStream, sync::Barrier, thread};

use crate::rest_support::{By, Instance, OWNER, Sql, WORKSPACE, draft, fields, problem, tokens_of};
use crate::support::Answer;
use serde_json::json;

impl Instance {
    fn attempt(&self, by: &By, key: &str, body: &serde_json::Value) -> Answer {
        self.request(by, "POST", &tokens_of(WORKSPACE))
            .header("idempotency-key", key)
            .json(body)
            .send()
    }

    fn names(&self) -> Vec<String> {
        let list = self.managing("GET", &tokens_of(WORKSPACE)).send().expect(200).json();
        let items = list["items"].as_array().unwrap();
        items.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn repeated_request_gets_its_first_response() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    let first = instance.attempt(&manager, "order-4711", &draft("once"));
    let again = instance.attempt(&manager, "order-4711", &draft("once"));
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    for header in ["location", "content-type", "cache-control"] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
    // Another body, another path, another caller.
    let other = instance.attempt(&manager, "order-4711", &draft("other"));
    problem(&other, 422, "idempotency_mismatch");
    let by_owner = instance.attempt(&By::Session(OWNER.into()), "order-4711", &draft("owner's"));
    assert_eq!((by_owner.status, by_owner.header("idempotency-replayed")), (201, None));
    assert_eq!(instance.names(), ["owner's", "once", "manager"]);
    for key in ["", "a b", &"x".repeat(256)] {
        let refused =
            problem(&instance.attempt(&manager, key, &draft("x")), 422, "validation_failed");
        assert_eq!(
            fields(&refused),
            ["Idempotency-Key: must be 1 to 255 visible ASCII characters"]
        );
    }
    let nobody = instance.attempt(&By::Nobody, "order-4711", &draft("once"));
    problem(&nobody, 401, "unauthenticated");
}

#[test]
fn refusal_is_repeated_under_the_id_of_its_request() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    let bad = json!({"name": "", "scopes": ["rivers:run"]});
    let first = problem(&instance.attempt(&manager, "k", &bad), 422, "validation_failed");
    let answer = instance.attempt(&manager, "k", &bad);
    let again = problem(&answer, 422, "validation_failed");
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!(first["errors"], again["errors"]);
}

#[test]
fn caller_who_hangs_up_gets_the_response_later() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    // The log is locked, so the request gets no response yet.
    let mut hold = Sql::on(&instance.server);
    hold.run("BEGIN; LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE");
    let body = draft("once").to_string();
    let mut stream = TcpStream::connect(instance.server.address()).unwrap();
    write!(
        stream,
        "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        tokens_of(WORKSPACE),
        instance.server.address(),
        instance.manager,
        body.len(),
    )
    .unwrap();
    let mut look = Sql::on(&instance.server);
    crate::support::wait::until("the claim", || {
        (look.number("SELECT count(*) FROM idempotency_keys") == 1).then_some(())
    });
    drop(stream);
    // Long enough for the server to notice it.
    (0..20).for_each(|_| drop(instance.server.get("/healthz")));
    hold.run("COMMIT");
    let answer = crate::support::wait::until("the answer", || {
        Some(instance.attempt(&manager, "k", &draft("once"))).filter(|answer| answer.status != 409)
    });
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!(instance.names(), ["once", "manager"]);
}

#[test]
fn failure_of_the_server_is_not_kept() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    instance.sql("ALTER TABLE audit_heads ADD CONSTRAINT full_disk CHECK (seq < 0) NOT VALID");
    problem(&instance.attempt(&manager, "k", &draft("once")), 500, "internal");
    instance.sql("ALTER TABLE audit_heads DROP CONSTRAINT full_disk");
    let answer = instance.attempt(&manager, "k", &draft("once")).expect(201);
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!(instance.names(), ["once", "manager"]);
}

#[test]
fn temporary_refusal_is_not_kept() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    let beyond = json!({
        "name": "t", "audiences": ["tessera", "default"], "scopes": ["members:read", "rivers:read"],
    });
    let target = instance.minted(WORKSPACE, &beyond);
    let path = format!("/api/v1/tokens/{}", target["token"]["id"].as_str().unwrap());
    let rotate = || {
        let request = instance.request(&manager, "POST", &format!("{path}/rotate"));
        request.header("idempotency-key", "k").json(&json!({})).send()
    };
    problem(&rotate(), 403, "forbidden");
    let owner = By::Session(OWNER.to_owned());
    let narrower = json!({"grants": {"tessera": [], "default": ["rivers:read"]}});
    instance.request(&owner, "PATCH", &path).json(&narrower).send().expect(200);
    let answer = rotate().expect(201);
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!(rotate().expect(201).body, answer.body);
}

/// `make drill-races` sets it to a thousand.
fn rounds() -> usize {
    std::env::var("TESSERA_RACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[test]
fn one_request_64_times_concurrently_creates_one_token() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    for round in 0..rounds() {
        let key = format!("round-{round}");
        let barrier = Barrier::new(64);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let attempt = || {
                barrier.wait();
                instance.attempt(&manager, &key, &draft(&key))
            };
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(attempt)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (made, waiting): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!(
            made.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(),
            1
        );
        assert!(made.iter().all(|answer| answer.body == made[0].body));
        for answer in &waiting {
            problem(answer, 409, "idempotency_in_flight");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        let after = instance.attempt(&manager, &key, &draft(&key));
        assert_eq!(after.body, made[0].body);
        assert_eq!(instance.names().iter().filter(|name| **name == key).count(), 1);
    }
}

#[test]
fn retry_after_a_crash_creates_no_second_token() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    instance.attempt(&manager, "k", &draft("once")).expect(201);
    // As if the server had died a minute ago, between the token and its response.
    instance.sql(
        "UPDATE idempotency_keys SET status = NULL, reply = NULL, seal_key_version = NULL,
                created_at = created_at - interval '61 seconds'",
    );
    problem(&instance.attempt(&manager, "k", &draft("once")), 409, "already_created");
    assert_eq!(instance.names(), ["once", "manager"]);
}

#[test]
fn lost_rotation_response_is_repeated_to_the_replaced_secret() {
    let instance = Instance::start();
    let old = instance.mint(WORKSPACE, &draft("worker"));
    let rotate = |key: &str, body: &serde_json::Value| {
        let by = By::Token(old.clone());
        let request = instance.request(&by, "POST", "/api/v1/self/rotate");
        request.header("idempotency-key", key).json(body).send()
    };
    let reuses = || {
        let query = "SELECT count(*) FROM token_secrets WHERE reused_at IS NOT NULL";
        Sql::on(&instance.server).number(query)
    };
    let first = rotate("k", &json!({})).expect(201);
    let again = rotate("k", &json!({})).expect(201);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(reuses(), 0);
    instance.sql("UPDATE idempotency_keys SET created_at = created_at - interval '10 minutes'");
    assert_eq!(rotate("k", &json!({})).status, 401);
    assert_eq!(reuses(), 1);
    instance.sql("UPDATE idempotency_keys SET created_at = created_at + interval '10 minutes'");
    assert_eq!(rotate("k", &json!({})).status, 201);
    assert_eq!(rotate("other", &json!({})).status, 401);
    assert_eq!(rotate("k", &json!({"grace_s": 0})).status, 401);
}

/// An attacker may have recorded the request, and would receive the current secret.
#[test]
fn rotation_response_is_not_repeated_to_the_replaced_secret_once_a_newer_one_was_used() {
    let instance = Instance::start();
    let rotate = |secret: &str, key: &str, body: &serde_json::Value| {
        let by = By::Token(secret.to_owned());
        let request = instance.request(&by, "POST", "/api/v1/self/rotate");
        request.header("idempotency-key", key).json(body).send()
    };
    let of = |answer: &Answer| answer.json()["secret"].as_str().unwrap().to_owned();
    let use_once = |secret: &str| {
        instance.request(&By::Token(secret.to_owned()), "GET", "/api/v1/self").send().expect(200);
    };
    let reuses = || {
        let query = "SELECT count(*) FROM token_secrets WHERE reused_at IS NOT NULL";
        Sql::on(&instance.server).number(query)
    };
    let shown = || {
        let query = "SELECT count(*) FROM audit_events WHERE action = 'token.reveal'";
        Sql::on(&instance.server).number(query)
    };

    let first = instance.mint(WORKSPACE, &draft("worker"));
    let answer = rotate(&first, "k", &json!({})).expect(201);
    let second = of(&answer);
    use_once(&second);
    let late = rotate(&first, "k", &json!({}));
    problem(&late, 401, "invalid_token");
    assert!(!late.text().contains(&second));
    assert_eq!((reuses(), shown()), (1, 0), "the reuse is recorded");
    // After a further rotation, whose secret was not used yet.
    let third = of(&rotate(&second, "k2", &json!({})).expect(201));
    problem(&rotate(&first, "k", &json!({})), 401, "invalid_token");
    rotate(&second, "k2", &json!({})).expect(201);
    use_once(&third);
    problem(&rotate(&second, "k2", &json!({})), 401, "invalid_token");
    assert_eq!(reuses(), 2);
    // The replaced secret still works, but no longer receives the newer one.
    let old = instance.mint(WORKSPACE, &draft("graceful"));
    let grace = json!({"grace_s": 600});
    let new = of(&rotate(&old, "k", &grace).expect(201));
    rotate(&old, "k", &grace).expect(201);
    use_once(&new);
    problem(&rotate(&old, "k", &grace), 403, "forbidden");
}

#[test]
fn repeated_response_with_a_secret_is_audited_and_available_for_ten_minutes() {
    let instance = Instance::start();
    let manager = By::Token(instance.manager.clone());
    let origin = instance.minted(WORKSPACE, &draft("origin"));
    let of = |operation: &str| {
        format!("/api/v1/tokens/{}/{operation}", origin["token"]["id"].as_str().unwrap())
    };
    let itself = By::Token(instance.mint(WORKSPACE, &draft("itself")));
    let calls = [
        (&manager, tokens_of(WORKSPACE), draft("made")),
        (&manager, of("clone"), json!({"name": "copy"})),
        (&manager, of("rotate"), json!({})),
        (&itself, "/api/v1/self/rotate".to_owned(), json!({"grace_s": 3_600})),
    ];
    let send = |(by, path, body): &(&By, String, serde_json::Value)| {
        let request = instance.request(by, "POST", path).header("idempotency-key", path);
        request.json(body).send()
    };
    let made = calls.each_ref().map(|call| send(call).expect(201));
    for (call, first) in calls.iter().zip(&made) {
        let again = send(call).expect(201);
        assert_eq!(again.body, first.body, "{}", call.1);
        let shown = format!(
            "SELECT count(*) FROM audit_events WHERE action = 'token.reveal' AND subject_id = '{}'",
            first.json()["token"]["id"].as_str().unwrap()
        );
        assert_eq!(Sql::on(&instance.server).number(&shown), 1, "{}", call.1);
    }
    instance.sql("UPDATE idempotency_keys SET created_at = created_at - interval '10 minutes'");
    for call in &calls {
        problem(&send(call), 403, "reveal_not_allowed");
    }
}

#[test]
fn caller_without_the_right_stores_no_key() {
    let instance = Instance::start();
    let weak = instance.mint(WORKSPACE, &draft("weak"));
    let refused = instance.attempt(&By::Token(weak), "k", &draft("more"));
    problem(&refused, 403, "insufficient_scope");
    assert_eq!(Sql::on(&instance.server).number("SELECT count(*) FROM idempotency_keys"), 0);
}
