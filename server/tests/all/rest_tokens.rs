//! Tokens over REST: creation, lists, records, deletion.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{
    ALL_SCOPES, By, Instance, OTHER, WORKSPACE, draft, fields, problem, tokens_of,
};
use serde_json::{Value, json};

#[test]
fn token_lives_from_creation_to_deletion() {
    let instance = Instance::start();
    let answer = instance.create(&json!({
        "name": "deploy-bot", "description": "Runs rivers", "scopes": ["rivers:run"],
        "expires_in_s": 3600, "ip_allow": ["10.0.0.0/8"],
    }));
    let created = answer.clone().expect(201).json();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let secret = created["secret"].as_str().unwrap();
    let token = &created["token"];
    let id = token["id"].as_str().unwrap();
    assert!(secret.starts_with("tsr_") && secret.len() == 40);
    assert_eq!(answer.header("location"), Some(&*format!("/api/v1/tokens/{id}")));
    assert_eq!(token["hint"], format!("tsr_…{}", &secret[36..]));
    assert_eq!(token["audiences"], json!(["default"]));
    assert_eq!(token["user"]["email"], "ada@example.com");
    assert_eq!(token["state"], "active");

    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(instance.managing("GET", &path).send().expect(200).json(), *token);
    let list = instance.managing("GET", &tokens_of(WORKSPACE)).send().expect(200);
    assert_eq!(names(&list.json()), ["deploy-bot", "manager"]);
    assert!(!list.text().contains(secret));

    let deleted = instance.managing("DELETE", &path).send().expect(204);
    assert!(deleted.body.is_empty());
    problem(&instance.managing("GET", &path).send(), 404, "not_found");
    problem(&instance.managing("DELETE", &path).send(), 404, "not_found");
    let list = instance.managing("GET", &tokens_of(WORKSPACE)).send().expect(200).json();
    assert_eq!(names(&list), ["manager"]);
    let answer = instance.request(&By::Token(secret.to_owned()), "GET", "/api/v1/self").send();
    problem(&answer, 401, "invalid_token");
}

#[test]
fn token_object_has_exactly_the_documented_fields() {
    let instance = Instance::start();
    let created = instance.create(&draft("shape")).expect(201).json();
    let mut keys: Vec<&String> = created["token"].as_object().unwrap().keys().collect();
    keys.sort();
    insta::assert_json_snapshot!(keys, @r#"
    [
      "active",
      "audiences",
      "created_at",
      "created_by",
      "description",
      "disabled_by",
      "enabled",
      "ended_by",
      "expires_at",
      "grace_until",
      "grants",
      "hint",
      "id",
      "ip_allow",
      "last_used_agent",
      "last_used_at",
      "last_used_ip",
      "name",
      "not_before",
      "num",
      "older_hint",
      "parent",
      "rate_limit",
      "recoverable",
      "reused_at",
      "rotated_at",
      "scopes",
      "state",
      "tags",
      "updated_at",
      "user",
      "version",
      "workspace"
    ]
    "#);
    for time in ["created_at", "updated_at", "expires_at"] {
        assert!(created["token"][time].as_str().unwrap().ends_with('Z'), "{time}");
    }
}

#[test]
fn expiry_is_the_requested_one() {
    let instance = Instance::start();
    let expiry = |more: Value| {
        let mut body = draft("expiring");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        instance.create(&body)
    };
    let end = |more| expiry(more).expect(201).json()["token"]["expires_at"].clone();
    assert_eq!(end(json!({"expires_at": "2099-08-18T12:00:00+02:00"})), "2099-08-18T10:00:00Z");
    assert_eq!(end(json!({"expires_at": "2099-08-18"})), "2099-08-18T23:59:59Z");
    assert_eq!(end(json!({"expires_at": "never"})), Value::Null);
    // The policy's default, not "never": absence is not a choice.
    assert!(end(json!({"expires_at": null})).is_string());
    assert!(end(json!({})).is_string());
    for (more, expected) in [
        (
            json!({"expires_at": "never", "expires_in_s": 60}),
            "expires_in_s: must not be given together with expires_at",
        ),
        (json!({"expires_at": "2001-01-01"}), "expires_at: must be in the future"),
        (json!({"expires_in_s": 0}), "expires_at: must be in the future"),
        (json!({"expires_in_s": i64::MAX}), "expires_at: is out of range"),
        (
            json!({"expires_at": "soon"}),
            "expires_at: must be a number of days such as 30d, a date such as 2027-08-18, or never",
        ),
        (
            json!({"expires_in_s": 60, "not_before": "2099-01-01T00:00:00Z"}),
            "not_before: must be before the token expires",
        ),
    ] {
        let refused = problem(&expiry(more.clone()), 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{more}");
    }
}

#[test]
fn token_never_grants_more_than_it_holds() {
    let instance = Instance::start();
    let body = json!({"name": "greedy", "audiences": ["default"], "scopes": ["teams:write"]});
    let refused = problem(&instance.create(&body), 422, "validation_failed");
    assert_eq!(
        fields(&refused),
        ["scopes: has teams:write, which the calling token does not hold"]
    );
    // The administrator may.
    instance.mint(WORKSPACE, &body);
}

#[test]
fn list_is_filtered_sorted_and_paged() {
    let instance = Instance::start();
    for name in ["alpha", "Beta", "gamma"] {
        instance.create(&draft(name)).expect(201);
    }
    let list = |query: &str| {
        let path = format!("{}?{query}", tokens_of(WORKSPACE));
        instance.managing("GET", &path).send().expect(200).json()
    };
    assert_eq!(names(&list("sort=name")), ["alpha", "Beta", "gamma", "manager"]);
    assert_eq!(names(&list("sort=oldest")), ["manager", "alpha", "Beta", "gamma"]);
    assert_eq!(names(&list("q=ETA")), ["Beta"]);
    assert_eq!(names(&list("q=%25")), [""; 0]);
    assert_eq!(names(&list("state=disabled")), [""; 0]);
    assert_eq!(names(&list("state=active&q=&cursor=")), ["gamma", "Beta", "alpha", "manager"]);
    assert_eq!(names(&list("scope=rivers:run&sort=name&owner=ada@example.com")).len(), 4);
    assert_eq!(names(&list("audience=tessera")), ["manager"]);
    assert_eq!(names(&list("expires_before=2001-01-01")), [""; 0]);
    assert_eq!(
        names(&list("never_used=true&unused_since=2099-01-01T00:00:00Z&scope=nope")),
        [""; 0]
    );

    let mut seen = Vec::new();
    let mut query = "sort=name&limit=1".to_owned();
    loop {
        let page = list(&query);
        seen.extend(names(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("sort=name&limit=1&cursor={next}");
    }
    assert_eq!(seen, ["alpha", "Beta", "gamma", "manager"]);
}

#[test]
fn invalid_list_query_names_the_parameter() {
    let instance = Instance::start();
    for (query, expected) in [
        ("state=on", "state: must be active, disabled, expired or scheduled"),
        ("sort=size", "sort: must be newest, oldest, name, expires or last_used"),
        ("never_used=yes", "never_used: must be true or false"),
        (
            "unused_since=30d",
            "unused_since: must be a time such as 2027-08-18T12:00:00Z or a date such as 2027-08-18",
        ),
        ("scope=a%00", "scope: must have at most 256 characters and must not contain NUL"),
        ("limit=0", "limit: must be 1 to 200"),
        ("limit=201", "limit: must be 1 to 200"),
        ("limit=-1", "limit: must be a whole number from 0 to 65535"),
        ("limit=x", "limit: must be a whole number from 0 to 65535"),
        ("cursor=x", "cursor: must be the `next` value of a page of this list in the same order"),
        ("q=a%00b", "q: must have at most 256 characters and must not contain NUL"),
        ("q=a&q=b", "q: is given twice"),
        (
            "page=2",
            "page: is not a known field; known fields are state, q, unused_since, never_used, \
             expires_before, owner, audience, scope, sort, limit, cursor",
        ),
    ] {
        let path = format!("{}?{query}", tokens_of(WORKSPACE));
        let refused = problem(&instance.managing("GET", &path).send(), 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{query}");
    }
}

#[test]
fn token_of_another_workspace_is_not_found() {
    let instance = Instance::start();
    let foreign = instance.minted(OTHER, &draft("foreign"));
    let id = foreign["token"]["id"].as_str().unwrap();
    for (method, path) in [
        ("GET", format!("/api/v1/tokens/{id}")),
        ("DELETE", format!("/api/v1/tokens/{id}")),
        ("GET", tokens_of(OTHER)),
        ("GET", format!("/api/v1/workspaces/{OTHER}")),
    ] {
        problem(&instance.managing(method, &path).send(), 404, "not_found");
    }
    let answer = instance.managing("POST", &tokens_of(OTHER)).json(&draft("x")).send();
    problem(&answer, 404, "not_found");
    let workspaces = instance.managing("GET", "/api/v1/workspaces").send().expect(200).json();
    assert_eq!(workspaces["items"].as_array().unwrap().len(), 1);
    assert_eq!(workspaces["items"][0]["slug"], WORKSPACE);
}

#[test]
fn path_that_cannot_be_an_id_is_not_found() {
    let instance = Instance::start();
    for path in [
        "/api/v1/tokens/1",
        "/api/v1/tokens/%00",
        "/api/v1/tokens/%FF",
        "/api/v1/tokens/00000000-0000-0000-0000-000000000000",
        "/api/v1/workspaces/No%20Such/tokens",
        "/api/v1/workspaces/a%00b",
        "/api/v1/workspaces/%2e%2e/tokens",
        "/api/v1/workspaces/nowhere",
    ] {
        problem(&instance.managing("GET", path).send(), 404, "not_found");
    }
}

#[test]
fn workspace_and_audiences_contain_what_a_script_needs() {
    let instance = Instance::start();
    let path = format!("/api/v1/workspaces/{WORKSPACE}");
    let workspace = instance.managing("GET", &path).send().expect(200).json();
    assert_eq!(workspace["slug"], WORKSPACE);
    assert_eq!(workspace["name"], "Workspace 1");
    assert_eq!(workspace["token_reach"], "all");
    assert_eq!(workspace["counts"]["total"], 1);
    assert_eq!(workspace["policy"]["prefix"], "tsr");
    let audiences = instance.managing("GET", "/api/v1/audiences").send().expect(200).json();
    let known: Vec<&str> = audiences["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|audience| audience["groups"].as_array().unwrap())
        .flat_map(|group| group["scopes"].as_array().unwrap())
        .map(|scope| scope["name"].as_str().unwrap())
        .collect();
    for scope in ALL_SCOPES {
        assert!(known.contains(&scope), "{scope}");
    }
}

#[test]
fn self_is_the_presented_token() {
    let instance = Instance::start();
    let minted = instance.minted(OTHER, &draft("me"));
    let token = By::Token(minted["secret"].as_str().unwrap().to_owned());
    let myself = instance.request(&token, "GET", "/api/v1/self").send().expect(200).json();
    assert_eq!(myself["id"], minted["token"]["id"]);
    assert_eq!(myself["workspace"], OTHER);
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
}
