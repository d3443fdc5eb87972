//! A stop cannot be undone, nor a secret kept, indirectly: through the token that created it, a
//! rotation or an older secret.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{
    By, Instance, WORKSPACE,
    acts::{act, by, call, manager, owner, shown},
    problem, tokens_of,
};
use serde_json::{Value, json};

fn set(instance: &Instance, rule: &str) {
    instance.server.run(&["policy", "set", rule]).ok();
}

/// The same token with the secret from its own rotation.
#[track_caller]
fn rotated_by_itself(instance: &Instance, minted: &Value) -> Value {
    call(instance, &by(minted), "POST", "/api/v1/self/rotate", &json!({})).expect(201).json()
}

#[test]
fn member_cannot_undo_a_stop_by_a_token_of_an_administrator_by_stopping_that_token() {
    let instance = Instance::start();
    set(&instance, "self_service=true");
    let member = instance.person("mia", "member", Some("member"));
    let first = manager(&instance, &owner(), "first");
    let robot = manager(&instance, &by(&first), "robot");
    let enable = ("/enable", Value::Null);
    for (rule, stop, by_member, undo) in [
        ("on_parent_end=keep", "/disable", "/disable?children=true", enable.clone()),
        ("on_parent_end=end", "/disable", "/disable", enable.clone()),
        ("on_parent_end=end", "/expire", "/expire", ("", json!({"expires_at": "20d"}))),
    ] {
        set(&instance, rule);
        let maker = manager(&instance, &member, "maker");
        let target = manager(&instance, &by(&maker), "target");
        act(&instance, &by(&robot), &target, (stop, Value::Null)).expect(200);
        let stopped = shown(&instance, &target);
        let record = if stop == "/expire" { "ended_by" } else { "disabled_by" };
        assert_eq!(stopped[record]["standing"], "administrator");
        problem(&act(&instance, &member, &target, undo.clone()), 403, "forbidden");
        act(&instance, &member, &maker, (by_member, Value::Null)).expect(200);
        assert_eq!(shown(&instance, &target)[record], stopped[record], "{rule} {by_member}");
        problem(&act(&instance, &member, &target, undo.clone()), 403, "forbidden");
        // Now it is also a person's stop, which a token that a token created cannot lift.
        problem(&act(&instance, &by(&robot), &target, undo.clone()), 403, "forbidden");
        act(&instance, &owner(), &target, undo).expect(200);
        assert_eq!(shown(&instance, &target)["state"], "active");
    }
    // A member's own stop stays their own, and an administrator's stop replaces it.
    set(&instance, "on_parent_end=keep");
    let maker = manager(&instance, &member, "maker");
    let target = manager(&instance, &by(&maker), "target");
    let children = ("/disable?children=true", Value::Null);
    act(&instance, &member, &maker, children.clone()).expect(200);
    act(&instance, &member, &target, enable.clone()).expect(200);
    act(&instance, &member, &maker, children.clone()).expect(200);
    act(&instance, &owner(), &maker, children).expect(200);
    problem(&act(&instance, &member, &target, enable), 403, "forbidden");
}

#[test]
fn token_that_rotates_itself_is_still_bound_by_tokens_that_had_its_secret() {
    let instance = Instance::start();
    set(&instance, "reveal=recoverable_allowed");
    let enable = || ("/enable", Value::Null);
    for operation in ["/rotate", "/reveal"] {
        let knower = manager(&instance, &owner(), "knower");
        let body = json!({
            "name": "known", "audiences": ["tessera", "default"], "expires_at": "29d", "recoverable": true,
            "scopes": ["tokens:write", "tokens:reveal", "rivers:read"],
        });
        let known = call(&instance, &owner(), "POST", &tokens_of(WORKSPACE), &body).expect(201);
        let known = act(&instance, &by(&knower), &known.json(), (operation, Value::Null));
        assert!(matches!(known.status, 200 | 201), "{}", known.text());
        let known = rotated_by_itself(&instance, &known.json());
        for operation in ["/rotate", "/reveal"] {
            let refused = act(&instance, &by(&known), &knower, (operation, Value::Null));
            let refusal = problem(&refused, 403, "forbidden");
            assert!(
                refusal["detail"].as_str().unwrap().contains("obtained its secret"),
                "{refusal}"
            );
        }
        act(&instance, &owner(), &knower, ("/disable", Value::Null)).expect(200);
        problem(&act(&instance, &by(&known), &knower, enable()), 403, "forbidden");
        // With its ID, and once more.
        let known = act(&instance, &by(&known), &known, ("/rotate", json!({}))).expect(201).json();
        let known = rotated_by_itself(&instance, &known);
        problem(&act(&instance, &by(&known), &knower, enable()), 403, "forbidden");
        // During the grace period, the earlier secret could still take over the token.
        let grace = ("/rotate", json!({"grace_s": 3_600}));
        act(&instance, &owner(), &known, grace).expect(201);
        let known = rotated_by_itself(&instance, &known);
        problem(&act(&instance, &by(&known), &knower, enable()), 403, "forbidden");
        // A secret that no other caller received, and secrets that descend from it.
        let fresh = ("/rotate", json!({"expires_at": "never"}));
        let known = act(&instance, &owner(), &known, fresh).expect(201).json();
        let known = rotated_by_itself(&instance, &known);
        act(&instance, &by(&known), &knower, enable()).expect(200);
    }
}

#[test]
fn earlier_expiry_set_by_an_administrator_survives_rotations() {
    let instance = Instance::start();
    set(&instance, "self_service=true");
    let member = instance.person("mia", "member", Some("member"));
    let patch = |by: &By, token: &Value, end: &str| {
        act(&instance, by, token, ("", json!({"expires_at": end})))
    };
    let rotate = |by: &By, token: &Value, body: Value| {
        act(&instance, by, token, ("/rotate", body)).expect(201).json()["token"].clone()
    };
    let of_member = || manager(&instance, &member, "of a member");
    let is_kept = |token: &Value| {
        let before = shown(&instance, token);
        assert_eq!(before["ended_by"]["standing"], "administrator", "{before}");
        problem(&patch(&member, token, "20d"), 403, "forbidden");
        let rotated = rotate(&member, token, json!({"expires_at": "20d"}));
        assert_eq!(rotated["expires_at"], before["expires_at"]);
        assert_eq!(rotated["ended_by"], before["ended_by"]);
        problem(&patch(&member, token, "20d"), 403, "forbidden");
    };
    // Through the rotation itself, by a person and by a person's token.
    let first = of_member();
    let second = of_member();
    rotate(&owner(), &first, json!({"expires_at": "1h"}));
    is_kept(&first);
    let robot = manager(&instance, &owner(), "robot");
    rotate(&by(&robot), &second, json!({"expires_at": "1h"}));
    is_kept(&second);
    // Before the rotation.
    for again in [json!({}), json!({"expires_at": "1h"})] {
        let third = of_member();
        patch(&owner(), &third, "1h").expect(200);
        rotate(&owner(), &third, again);
        is_kept(&third);
    }
    // A later expiry, and a new lifetime, undo it.
    assert_eq!(rotate(&owner(), &first, json!({"expires_at": "5d"}))["ended_by"], Value::Null);
    patch(&member, &first, "20d").expect(200);
    act(&instance, &owner(), &second, ("/expire", Value::Null)).expect(200);
    assert_eq!(rotate(&owner(), &second, json!({"expires_at": "5d"}))["ended_by"], Value::Null);
    // A member's own expiry stays their own.
    rotate(&member, &first, json!({"expires_at": "1h"}));
    patch(&member, &first, "20d").expect(200);
    // Stops that a token created by another token cannot undo.
    let maker = manager(&instance, &owner(), "maker");
    let [one, other] = ["one", "other"].map(|name| manager(&instance, &by(&maker), name));
    patch(&owner(), &one, "1h").expect(200);
    problem(&patch(&by(&other), &one, "20d"), 403, "forbidden");
    rotate(&owner(), &one, json!({}));
    problem(&patch(&by(&other), &one, "20d"), 403, "forbidden");
}

#[test]
fn expiring_secret_cannot_reveal_a_secret_that_expires_later() {
    let instance = Instance::start();
    set(&instance, "reveal=recoverable_allowed");
    let token = |name: &str, end: &str, scopes: &[&str]| {
        let body = json!({
            "name": name, "audiences": ["tessera", "default"], "expires_at": end, "recoverable": true, "scopes": scopes,
        });
        call(&instance, &owner(), "POST", &tokens_of(WORKSPACE), &body).expect(201).json()
    };
    let managing = ["tokens:write", "tokens:reveal", "rivers:read"];
    let endless = token("endless", "never", &["rivers:read"]);
    let short = token("short", "1h", &["rivers:read"]);
    let devo = |minted: &Value| {
        format!("/ws/accounts/{WORKSPACE}/credentials/tokens/{}", minted["token"]["num"])
    };
    let old = token("caller", "never", &managing);
    act(&instance, &by(&old), &endless, ("/reveal", Value::Null)).expect(200);
    let new = act(&instance, &owner(), &old, ("/rotate", json!({"grace_s": 7_200}))).expect(201);
    let new = new.json();
    let make = |caller: &Value, body: &Value| {
        let request = instance.request(&by(caller), "POST", &tokens_of(WORKSPACE));
        request.header("idempotency-key", "k").json(body).send()
    };
    let child = json!({"name": "child", "scopes": ["rivers:read"], "expires_at": "never"});
    let first = make(&new, &child).expect(201);
    let is_refused = |caller: &Value| {
        let refused = act(&instance, &by(caller), &endless, ("/reveal", Value::Null));
        let refusal = problem(&refused, 422, "bound_exceeded");
        assert_eq!(refusal["errors"][0]["field"], "expires_at");
        let answer = call(&instance, &by(caller), "GET", &devo(&endless), &Value::Null);
        assert_eq!(answer.status, 400, "{}", answer.text());
        act(&instance, &by(caller), &short, ("/reveal", Value::Null)).expect(200);
        call(&instance, &by(caller), "GET", &devo(&short), &Value::Null).expect(200);
    };
    is_refused(&old);
    problem(&make(&old, &child), 422, "bound_exceeded");
    assert_eq!(make(&new, &child).expect(201).body, first.body);
    act(&instance, &by(&new), &endless, ("/reveal", Value::Null)).expect(200);
    // A token with an expiry, which may reveal its own secret.
    let ends = token("ends", "2h", &managing);
    is_refused(&ends);
    act(&instance, &by(&ends), &ends, ("/reveal", Value::Null)).expect(200);
}
