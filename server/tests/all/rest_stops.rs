//! A token cannot undo changes to its ancestors. It can lift a person's stop only if a person
//! created the token.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{
    By, Instance, WORKSPACE,
    acts::{act, by, call, manager, owner, secret, shown},
    problem, tokens_of,
};
use serde_json::{Value, json};

const NEVER: &str = "0001-01-01T00:00:00Z";

/// Sends every request, on every surface, that could make a stopped token work again, until `end`.
fn try_to_lift(instance: &Instance, caller: &Value, target: &Value, end: &Value) {
    for action in [
        ("/enable", Value::Null),
        ("", json!({"expires_at": end})),
        ("", json!({"expires_at": "never"})),
        ("", json!({"ip_allow": []})),
        ("", json!({"rate_limit": null})),
        ("", json!({"not_before": null})),
        ("", json!({"user": "lin@example.com"})),
    ] {
        act(instance, &by(caller), target, action);
    }
    let many = json!({"action": "enable", "ids": [target["token"]["id"]]});
    call(instance, &by(caller), "POST", &format!("{}/bulk", tokens_of(WORKSPACE)), &many);
    let devo = format!("/ws/accounts/{WORKSPACE}/credentials/tokens/{}", target["token"]["num"]);
    call(instance, &by(caller), "PUT", &format!("{devo}/enable"), &Value::Null);
    let kriten = format!("/api/v1/api_tokens/{}", target["token"]["id"].as_str().unwrap());
    for body in [
        json!({"enabled": true, "expires": NEVER}),
        json!({"enabled": true}),
        json!({"expires": NEVER}),
        json!({"expires": "2099-11-26T16:38:18Z"}),
    ] {
        let request = instance.server.request("PATCH", &kriten);
        request.header("Token", secret(caller)).json(&body).send();
    }
}

#[test]
fn token_cannot_undo_stops_of_its_creators_on_any_surface() {
    let instance = Instance::start();
    instance.person("lin", "member", Some("admin"));
    let first = manager(&instance, &owner(), "first");
    let child = manager(&instance, &by(&first), "child");
    let grandchild = manager(&instance, &by(&child), "grandchild");
    let later = shown(&instance, &first)["expires_at"].clone();
    let robot = manager(&instance, &owner(), "robot");
    for (stopper, stop, is_over) in [
        (owner(), ("/disable", Value::Null), true),
        (owner(), ("/expire", Value::Null), true),
        (by(&robot), ("/disable", Value::Null), true),
        (owner(), ("", json!({"expires_at": "1h"})), false),
        (owner(), ("", json!({"ip_allow": ["127.0.0.0/8"]})), false),
        (owner(), ("", json!({"rate_limit": {"limit": 8999, "window_s": 1}})), false),
    ] {
        act(&instance, &stopper, &first, stop.clone()).expect(200);
        let stopped = shown(&instance, &first);
        for caller in [&child, &grandchild] {
            try_to_lift(&instance, caller, &first, &later);
            assert_eq!(shown(&instance, &first), stopped, "{stop:?}");
            if is_over {
                for (operation, body) in
                    [("/rotate", json!({})), ("/clone", json!({"name": "copy"}))]
                {
                    let refused = act(&instance, &by(caller), &first, (operation, body));
                    problem(&refused, 403, "forbidden");
                }
            }
        }
        // A sibling is part of the family as well.
        if stop.0 == "/disable" {
            act(&instance, &owner(), &grandchild, stop.clone()).expect(200);
            let sibling = manager(&instance, &owner(), "sibling");
            instance.sql(&format!(
                "UPDATE tokens SET parent_id = '{}', within_parent = true WHERE id = '{}'",
                first["token"]["id"].as_str().unwrap(),
                sibling["token"]["id"].as_str().unwrap(),
            ));
            let stopped = shown(&instance, &grandchild);
            try_to_lift(&instance, &sibling, &grandchild, &later);
            assert_eq!(shown(&instance, &grandchild), stopped);
            act(&instance, &owner(), &grandchild, ("/enable", Value::Null)).expect(200);
        }
        let undo = json!({"expires_at": later, "ip_allow": [], "rate_limit": null});
        act(&instance, &owner(), &first, ("", undo)).expect(200);
        act(&instance, &owner(), &first, ("/enable", Value::Null)).expect(200);
        assert_eq!(shown(&instance, &first)["state"], "active");
    }
}

#[test]
fn token_created_by_a_token_lifts_only_its_own_stops() {
    let instance = Instance::start();
    let first = manager(&instance, &owner(), "first");
    let caller = manager(&instance, &by(&first), "caller");
    let other = manager(&instance, &by(&first), "other");
    let target = manager(&instance, &owner(), "target");
    let later = json!({"expires_at": "20d"});
    act(&instance, &owner(), &target, ("", later.clone())).expect(200);
    let end = shown(&instance, &target)["expires_at"].clone();
    let later = json!({"expires_at": end});
    act(&instance, &owner(), &target, ("", json!({"expires_at": "25d"}))).expect(200);
    act(&instance, &by(&caller), &target, ("", later.clone())).expect(200);
    let enable = |by: &By| act(&instance, by, &target, ("/enable", Value::Null));
    let disable = |by: &By| act(&instance, by, &target, ("/disable", Value::Null)).expect(200);
    // Its own stop.
    disable(&by(&caller));
    problem(&enable(&by(&other)), 403, "forbidden");
    enable(&by(&caller)).expect(200);
    act(&instance, &by(&caller), &target, ("/expire", Value::Null)).expect(200);
    problem(&act(&instance, &by(&other), &target, ("/rotate", json!({}))), 403, "forbidden");
    act(&instance, &by(&caller), &target, ("", later.clone())).expect(200);
    let short = json!({"expires_at": "1h"});
    act(&instance, &by(&caller), &target, ("", short.clone())).expect(200);
    act(&instance, &by(&caller), &target, ("", later.clone())).expect(200);
    // Stops by other callers, also if the token stops the target after a person did, or a person
    // after the token.
    for stop in ["/disable", "/expire"] {
        for order in [[owner(), by(&caller)], [by(&caller), owner()]] {
            for stopper in &order {
                act(&instance, stopper, &target, (stop, Value::Null)).expect(200);
            }
            let stopped = shown(&instance, &target);
            try_to_lift(&instance, &caller, &target, &end);
            let rotated = act(&instance, &by(&caller), &target, ("/rotate", json!({})));
            problem(&rotated, 403, "forbidden");
            assert_eq!(shown(&instance, &target), stopped, "{stop}");
            act(&instance, &owner(), &target, ("", later.clone())).expect(200);
            act(&instance, &owner(), &target, ("/enable", Value::Null)).expect(200);
        }
    }
    // An earlier expiry that a person set.
    act(&instance, &owner(), &target, ("", json!({"expires_at": "2h"}))).expect(200);
    act(&instance, &by(&caller), &target, ("", short)).expect(200);
    problem(&act(&instance, &by(&caller), &target, ("", later.clone())), 403, "forbidden");
    let end = shown(&instance, &target)["expires_at"].clone();
    let rotated = act(&instance, &by(&caller), &target, ("/rotate", later.clone())).expect(201);
    assert_eq!(rotated.json()["token"]["expires_at"], end);
    // A token that a person created automates the work of administrators.
    act(&instance, &by(&first), &target, ("", later)).expect(200);
    disable(&owner());
    enable(&by(&first)).expect(200);
    disable(&by(&first));
    problem(&enable(&by(&caller)), 403, "forbidden");
    enable(&by(&manager(&instance, &owner(), "robot"))).expect(200);
}

#[test]
fn stop_by_an_unknown_caller_counts_as_one_by_an_administrator() {
    let instance = Instance::start();
    let first = manager(&instance, &owner(), "first");
    let caller = manager(&instance, &by(&first), "caller");
    let target = manager(&instance, &by(&caller), "target");
    let id = target["token"]["id"].as_str().unwrap();
    // As a server of version 0.1 does it, after a server that records who did it.
    let later = ("", json!({"expires_at": "20d"}));
    for (operation, undo, sql) in [
        ("/disable", ("/enable", Value::Null), "enabled = false"),
        ("/expire", later, "expires_at = now() - interval '1 second', not_before = NULL"),
    ] {
        act(&instance, &by(&caller), &target, (operation, Value::Null)).expect(200);
        act(&instance, &by(&caller), &target, undo.clone()).expect(200);
        // The record of the token's own stop must not outlive the stop.
        act(&instance, &by(&caller), &target, (operation, Value::Null)).expect(200);
        instance.sql(&format!(
            "UPDATE tokens SET enabled = true, expires_at = GREATEST(expires_at, now() + interval '20 days') WHERE id = '{id}';
             UPDATE tokens SET {sql} WHERE id = '{id}'"
        ));
        problem(&act(&instance, &by(&caller), &target, undo.clone()), 403, "forbidden");
        act(&instance, &by(&first), &target, undo).expect(200);
    }
    // A token that was stopped before servers recorded who did it.
    act(&instance, &owner(), &target, ("/disable", Value::Null)).expect(200);
    instance.sql(&format!(
        "UPDATE tokens SET disabled_by = NULL, disabled_as = NULL WHERE id = '{id}'"
    ));
    let enable = ("/enable", Value::Null);
    problem(&act(&instance, &by(&caller), &target, enable.clone()), 403, "forbidden");
    act(&instance, &by(&first), &target, enable).expect(200);
}

#[test]
fn token_whose_secret_a_stopped_token_received_cannot_undo_the_stop() {
    let instance = Instance::start();
    let first = manager(&instance, &owner(), "first");
    let second = manager(&instance, &owner(), "second");
    let third = manager(&instance, &owner(), "third");
    let rotate = ("/rotate", json!({}));
    let second = act(&instance, &by(&first), &second, rotate.clone()).expect(201).json();
    let third = act(&instance, &by(&second), &third, rotate.clone()).expect(201).json();
    act(&instance, &owner(), &first, ("/disable", Value::Null)).expect(200);
    let enable = || ("/enable", Value::Null);
    for caller in [&second, &third] {
        problem(&act(&instance, &by(caller), &first, enable()), 403, "forbidden");
    }
    // With a secret that no other caller received.
    let second = act(&instance, &owner(), &second, rotate).expect(201).json();
    problem(&act(&instance, &by(&third), &first, enable()), 403, "forbidden");
    act(&instance, &by(&second), &first, enable()).expect(200);
}

#[test]
fn token_cannot_change_the_expiry_and_owner_that_a_person_gave_it() {
    let instance = Instance::start();
    instance.person("lin", "member", Some("admin"));
    let own = manager(&instance, &owner(), "own");
    act(&instance, &owner(), &own, ("", json!({"expires_at": "1h"}))).expect(200);
    let end = shown(&instance, &own)["expires_at"].clone();
    instance
        .sql("UPDATE token_secrets SET created_at = created_at - interval '20 min' WHERE current");
    let rotated = call(&instance, &by(&own), "POST", "/api/v1/self/rotate", &json!({}));
    let own = rotated.expect(201).json();
    assert_eq!(own["token"]["expires_at"], end);
    let lin = json!({"user": "lin@example.com"});
    problem(&act(&instance, &by(&own), &own, ("", lin.clone())), 403, "forbidden");
    act(&instance, &owner(), &own, ("", lin)).expect(200);
}

fn code(instance: &Instance, minted: &Value) -> String {
    let body = json!({"token": secret(minted)});
    let manager = By::Token(instance.manager.clone());
    let answer = call(instance, &manager, "POST", "/api/v1/verify", &body).expect(200);
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[test]
fn rotation_disables_tokens_of_the_old_secret_on_request() {
    let instance = Instance::start();
    instance.server.run(&["policy", "set", "on_parent_end=end"]).ok();
    let first = manager(&instance, &owner(), "first");
    let child = manager(&instance, &by(&first), "child");
    let grandchild = manager(&instance, &by(&child), "grandchild");
    let stranger = manager(&instance, &owner(), "stranger");
    let codes = |expected: &str| {
        for token in [&child, &grandchild] {
            assert_eq!(code(&instance, token), expected);
        }
    };
    // Available, but not required by the policy.
    let rotate = |operation| act(&instance, &owner(), &first, (operation, json!({})));
    rotate("/rotate").expect(201);
    codes("VALID");
    problem(&rotate("/rotate?children=perhaps"), 422, "validation_failed");
    let rotated = rotate("/rotate?children=true").expect(201).json();
    codes("DISABLED");
    assert_eq!(rotated.get("children_pending"), None, "{rotated}");
    assert_eq!(code(&instance, &rotated), "VALID");
    assert_eq!(code(&instance, &stranger), "VALID");

    let enable = || {
        for token in [&child, &grandchild] {
            act(&instance, &owner(), token, ("/enable", Value::Null)).expect(200);
        }
        codes("VALID");
    };
    enable();
    let own = "/api/v1/self/rotate";
    let rotated = call(&instance, &by(&rotated), "POST", own, &Value::Null).expect(201).json();
    codes("VALID");
    let own = "/api/v1/self/rotate?children=true";
    let rotated = call(&instance, &by(&rotated), "POST", own, &Value::Null).expect(201).json();
    codes("DISABLED");
    enable();
    let id = first["token"]["id"].as_str().unwrap();
    let printed = instance.server.run(&["token", "rotate", id, "--children", "--json"]).ok();
    codes("DISABLED");
    enable();
    assert_eq!(code(&instance, &rotated), "EXPIRED");
    let path = format!("/workspaces/{WORKSPACE}/settings/tokens/{id}/rotate");
    for (form, expected) in [
        (vec![("grace", "0")], "VALID"),
        (vec![("grace", "3600"), ("children", "true")], "DISABLED"),
    ] {
        let request = instance.request(&owner(), "POST", &path);
        request.header("sec-fetch-site", "same-origin").form(&form).send().expect(200);
        codes(expected);
    }
    assert_eq!(code(&instance, &serde_json::from_str(&printed).unwrap()), "EXPIRED");
}

#[test]
fn token_without_tokens_write_disables_only_tokens_of_its_owner_when_it_rotates_itself() {
    let instance = Instance::start();
    instance.person("lin", "member", Some("admin"));
    let first = manager(&instance, &owner(), "first");
    let own = manager(&instance, &by(&first), "own");
    let body = json!({"name": "lin's", "scopes": ["rivers:read"], "user": "lin@example.com"});
    let other = call(&instance, &by(&first), "POST", &tokens_of(WORKSPACE), &body);
    let other = other.expect(201).json();
    let narrow = json!({"grants": {"default": ["rivers:read"]}});
    act(&instance, &owner(), &first, ("", narrow)).expect(200);
    let rotate = "/api/v1/self/rotate?children=true";
    call(&instance, &by(&first), "POST", rotate, &Value::Null).expect(201);
    assert_eq!([code(&instance, &own), code(&instance, &other)], ["DISABLED", "VALID"]);
    act(&instance, &owner(), &first, ("/rotate?children=true", json!({}))).expect(201);
    assert_eq!(code(&instance, &other), "DISABLED");
}

#[test]
fn token_gets_no_secret_of_its_creator_on_any_surface() {
    let instance = Instance::start();
    instance.server.run(&["policy", "set", "reveal=recoverable_allowed"]).ok();
    let body = json!({
        "name": "first", "audiences": ["tessera", "default"], "expires_at": "30d", "recoverable": true,
        "scopes": ["tokens:write", "tokens:reveal", "rivers:read"],
    });
    let first = call(&instance, &owner(), "POST", &tokens_of(WORKSPACE), &body).expect(201).json();
    let child = manager(&instance, &by(&first), "child");
    let grandchild = manager(&instance, &by(&child), "grandchild");
    // None of these created it, but the first one received its secret.
    let sibling = manager(&instance, &owner(), "sibling");
    let sibling = act(&instance, &by(&first), &sibling, ("/rotate", json!({}))).expect(201).json();
    let before = shown(&instance, &first);
    for caller in [&child, &grandchild, &sibling] {
        for operation in ["/rotate", "/rotate?children=true", "/reveal"] {
            let refused = act(&instance, &by(caller), &first, (operation, Value::Null));
            let refusal = problem(&refused, 403, "forbidden");
            let detail = refusal["detail"].as_str().unwrap();
            assert!(detail.contains("can't rotate or reveal it"), "{detail}");
        }
        let devo = format!("/ws/accounts/{WORKSPACE}/credentials/tokens/{}", first["token"]["num"]);
        let answer = call(&instance, &by(caller), "GET", &devo, &Value::Null);
        assert_eq!(answer.status, 403, "{}", answer.text());
        let id = first["token"]["id"].as_str().unwrap();
        let kriten = format!("/api/v1/api_tokens/{id}");
        let robust = format!("/v1/users/api-tokens/{id}");
        for (method, path) in [("PATCH", &kriten), ("PUT", &kriten), ("POST", &robust)] {
            let request = instance.server.request(method, path);
            let request =
                request.header("Token", secret(caller)).header("rime-api-key", secret(caller));
            let answer = request.json(&json!({"key": "", "secret": "", "rotate": true})).send();
            assert!(!answer.text().contains("tsr_"), "{path}: {}", answer.text());
        }
        assert_eq!(shown(&instance, &first), before);
    }
    assert_eq!(code(&instance, &first), "VALID");
    let robot = manager(&instance, &owner(), "robot");
    for caller in [by(&robot), owner()] {
        act(&instance, &caller, &first, ("/reveal", Value::Null)).expect(200);
        act(&instance, &caller, &first, ("/rotate", json!({}))).expect(201);
    }
}
