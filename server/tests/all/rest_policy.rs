//! Policies and presets over REST.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OWNER, WORKSPACE, draft, fields, problem};
use crate::support::Request;
use serde_json::{Value, json};

fn owner(instance: &Instance, method: &str, path: &str) -> Request {
    instance.request(&By::Session(OWNER.to_owned()), method, path)
}

fn policy_of(workspace: &str) -> String {
    format!("/api/v1/workspaces/{workspace}/policy")
}

#[test]
fn policy_is_changed_by_version_and_never_looser_than_the_instance() {
    let instance = Instance::start();
    let path = policy_of(WORKSPACE);
    let before = owner(&instance, "GET", &path).send().expect(200);
    assert_eq!(before.header("etag"), Some("\"0\""));
    assert_eq!(before.json()["sources"]["prefix"], "default");
    let limits = json!({"max_ttl_s": 864_000, "self_service": false});
    owner(&instance, "PUT", "/api/v1/policy").json(&limits).send().expect(200);
    let rules = json!({"max_ttl_s": 8_640_000, "self_service": true, "prefix": "acme"});
    let put =
        |tag: &str| owner(&instance, "PUT", &path).header("if-match", tag).json(&rules).send();
    let changed = put("\"0\"").expect(200);
    assert_eq!(changed.header("etag"), Some("\"1\""));
    let view = changed.json();
    assert_eq!(view["rules"]["max_ttl_s"], 8_640_000);
    assert_eq!(view["instance"]["max_ttl_s"], 864_000);
    assert_eq!(
        (&view["effective"]["max_ttl_s"], &view["effective"]["self_service"]),
        (&json!(864_000), &json!(false))
    );
    assert_eq!(
        (&view["sources"]["max_ttl_s"], &view["sources"]["prefix"]),
        (&json!("instance"), &json!("workspace"))
    );
    problem(&put("\"0\""), 412, "precondition_failed");
    // A response can be sent back as a request.
    let again = owner(&instance, "PUT", &path).json(&view["rules"]).send().expect(200);
    assert_eq!(again.json()["rules"], view["rules"]);
}

#[test]
fn invalid_rules_are_reported() {
    let instance = Instance::start();
    for (rules, expected) in [
        (
            json!({"name_pattern": "("}),
            "name_pattern: cannot be used as a regular expression: unclosed group",
        ),
        (json!({"reveal": "always"}), "reveal: must be one of once or recoverable_allowed"),
        (json!({"max_tokens": -1}), "max_tokens: must not be negative"),
        (
            json!({"max_token": 1}),
            "max_token: is not a known field; known fields are max_tokens, default_ttl_s, \
             max_ttl_s, allow_never, reveal, prefix, unique_names, name_pattern, self_service, \
             max_grace_s, on_reuse, self_rotate, on_parent_end, preset",
        ),
    ] {
        for path in [policy_of(WORKSPACE), "/api/v1/policy".to_owned()] {
            let refused = owner(&instance, "PUT", &path).json(&rules).send();
            assert_eq!(fields(&problem(&refused, 422, "validation_failed")), [expected]);
        }
    }
}

#[test]
fn preset_is_previewed_then_applied() {
    let instance = Instance::start();
    let path = format!("{}/preset", policy_of(WORKSPACE));
    let mut endless = draft("endless");
    endless["expires_at"] = json!("never");
    instance.mint(WORKSPACE, &endless);
    let ask = |apply: bool| {
        let body = json!({"preset": "robust_intelligence", "apply": apply});
        owner(&instance, "POST", &path).json(&body).send().expect(200).json()
    };
    let looked = ask(false);
    assert_eq!((&looked["applied"], &looked["policy"]), (&json!(false), &Value::Null));
    // The manager's own token is the other one without an expiry.
    assert_eq!(looked["preview"]["misfits"]["no_end"], 2);
    let misfits = looked["preview"]["tokens"].as_array().unwrap();
    assert!(misfits.iter().any(|token| token["name"] == "endless"), "{misfits:?}");
    assert_eq!(owner(&instance, "GET", &policy_of(WORKSPACE)).send().header("etag"), Some("\"0\""));
    let applied = ask(true);
    assert_eq!(applied["policy"]["effective"]["max_tokens"], 200);
    assert_eq!(applied["policy"]["rules"]["preset"], "robust_intelligence");
    let workspace =
        owner(&instance, "GET", &format!("/api/v1/workspaces/{WORKSPACE}")).send().json();
    assert_eq!(workspace["quota"], json!({"used": 2, "limit": 200}));
    // The token keeps working.
    let list = owner(&instance, "GET", &crate::rest_support::tokens_of(WORKSPACE)).send().json();
    let tokens = list["items"].as_array().unwrap();
    assert!(tokens.iter().any(|token| token["name"] == "endless" && token["state"] == "active"));
    let kriten = json!({"preset": "kriten", "apply": true});
    owner(&instance, "POST", "/api/v1/policy/preset").json(&kriten).send().expect(200);
    let unknown = json!({"preset": "vault"});
    let refused = owner(&instance, "POST", &path).json(&unknown).send();
    assert_eq!(problem(&refused, 422, "validation_failed")["errors"][0]["field"], "preset");
}

#[test]
fn member_in_self_service_sees_only_own_tokens() {
    let instance = Instance::start();
    let member = instance.person("mel", "member", Some("member"));
    let tokens = crate::rest_support::tokens_of(WORKSPACE);
    problem(&instance.request(&member, "GET", &tokens).send(), 403, "forbidden");
    let kriten = json!({"preset": "kriten", "apply": true});
    owner(&instance, "POST", &format!("{}/preset", policy_of(WORKSPACE)))
        .json(&kriten)
        .send()
        .expect(200);
    let made =
        instance.request(&member, "POST", &tokens).json(&draft("mine")).send().expect(201).json();
    assert!(made["secret"].as_str().unwrap().starts_with("kri_"));
    let list = instance.request(&member, "GET", &tokens).send().expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let others =
        instance.minted(WORKSPACE, &draft("others"))["token"]["id"].as_str().unwrap().to_owned();
    for method in ["GET", "DELETE"] {
        let answer = instance.request(&member, method, &format!("/api/v1/tokens/{others}")).send();
        problem(&answer, 404, "not_found");
    }
    let own = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
    instance.request(&member, "DELETE", &own).send().expect(204);
}
