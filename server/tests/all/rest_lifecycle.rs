//! A token's life over REST: changes, enabling and disabling, rotation, revealing, cloning, bulk
//! operations; versions.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{
    By, Instance, OTHER, OWNER, WORKSPACE, draft, fields, problem, tokens_of,
};
use crate::support::Answer;
use serde_json::{Value, json};

fn path(minted: &Value, operation: &str) -> String {
    format!("/api/v1/tokens/{}{operation}", minted["token"]["id"].as_str().unwrap())
}

fn secret(minted: &Value) -> String {
    minted["secret"].as_str().unwrap().to_owned()
}

fn code(instance: &Instance, secret: &str) -> String {
    let answer = instance.verify(&json!({"token": secret}));
    answer["code"].as_str().unwrap().to_owned()
}

/// A request of the administrator of the instance, who may do everything.
fn owner(instance: &Instance, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let request = instance.request(&By::Session(OWNER.to_owned()), method, path);
    body.map_or(request.clone(), |body| request.json(body)).send()
}

#[test]
fn token_is_disabled_enabled_expired_and_changed() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("ci"));
    let token = secret(&minted);
    let act = |operation: &str| {
        instance.managing("POST", &path(&minted, operation)).send().expect(200).json()
    };
    assert_eq!(act("/disable")["state"], "disabled");
    assert_eq!(code(&instance, &token), "DISABLED");
    assert_eq!(act("/enable")["state"], "active");
    assert_eq!(act("/expire")["state"], "expired");
    assert_eq!(code(&instance, &token), "EXPIRED");
    let patch = json!({
        "name": "renamed", "description": "What for", "expires_at": "2099-01-01T00:00:00Z",
        "scopes": ["rivers:run"], "not_before": "2026-01-01T00:00:00Z", "ip_allow": ["10.0.0.0/8"],
        "tags": {"team": "payments"},
    });
    let request = instance.managing("PATCH", &path(&minted, "")).json(&patch);
    let changed = request.send().expect(200).json();
    for (field, value) in patch.as_object().unwrap() {
        assert_eq!(changed[field], *value, "{field}");
    }
    let cleared = json!({"not_before": null, "ip_allow": [], "tags": {}, "expires_at": "never"});
    let cleared = instance.managing("PATCH", &path(&minted, "")).json(&cleared).send();
    let cleared = cleared.expect(200).json();
    assert_eq!(cleared["not_before"], Value::Null);
    assert_eq!(cleared["expires_at"], Value::Null);
    assert_eq!((&cleared["ip_allow"], &cleared["tags"]), (&json!([]), &json!({})));
    assert_eq!(cleared["name"], "renamed", "omitted fields stay unchanged");
    assert_eq!(code(&instance, &token), "VALID");
}

#[test]
fn impossible_change_names_the_field() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("ci"));
    for (patch, expected) in [
        (
            json!({"scopes": ["rivers:run", "teams:read"]}),
            "scopes: has \"teams:read\", which the token does not hold: scopes can only be removed",
        ),
        (json!({"expires_at": "2001-01-01"}), "expires_at: must be in the future"),
        (
            json!({"expires_at": ""}),
            "expires_at: must be a number of days such as 30d, a date such as 2027-08-18, or never",
        ),
        (json!({"expires_at": null}), "expires_at: must be a string, not null"),
        (json!({"name": null}), "name: must be a string, not null"),
        (json!({"tags": {"a": 1}}), "tags.a: must be a string, not an integer"),
        (
            json!({"tags": {"": "x"}}),
            "tags: must have keys of 1 to 64 characters, without control characters or leading or trailing spaces",
        ),
    ] {
        let answer = instance.managing("PATCH", &path(&minted, "")).json(&patch).send();
        let refused = problem(&answer, 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{patch}");
    }
    let unknown = instance.managing("PATCH", &path(&minted, "")).json(&json!({"enabled": false}));
    let unknown = problem(&unknown.send(), 422, "validation_failed");
    assert!(fields(&unknown)[0].starts_with("enabled: is not a known field"));
    let shown = instance.managing("GET", &path(&minted, "")).send().expect(200).json();
    assert_eq!(shown, minted["token"]);
}

#[test]
fn version_guards_every_change() {
    let instance = Instance::start();
    let created = instance.create(&draft("ci"));
    assert_eq!(created.header("etag"), Some("\"1\""));
    let minted = created.expect(201).json();
    let disable = |tag: &str| {
        let request = instance.managing("POST", &path(&minted, "/disable"));
        request.header("if-match", tag).send()
    };
    let disabled = disable("\"1\"");
    assert_eq!(disabled.header("etag"), Some("\"2\""));
    assert_eq!(disabled.expect(200).json()["version"], 2);
    let shown = instance.managing("GET", &path(&minted, "")).send();
    assert_eq!(shown.header("etag"), Some("\"2\""));
    for (method, operation, body) in [
        ("POST", "/enable", None),
        ("POST", "/disable", None),
        ("POST", "/expire", None),
        ("POST", "/rotate", None),
        ("POST", "/rotate", Some(json!({"grace_s": 60}))),
        ("POST", "/reveal", None),
        ("POST", "/clone", Some(json!({"name": "copy"}))),
        ("DELETE", "/grace", None),
        ("PATCH", "", Some(json!({"name": "x"}))),
        ("DELETE", "", None),
    ] {
        for stale in ["\"1\"", "W/\"2\"", "\"other\""] {
            let request = instance
                .request(&By::Session(OWNER.to_owned()), method, &path(&minted, operation))
                .header("if-match", stale);
            let answer = body.as_ref().map_or(request.clone(), |body| request.json(body)).send();
            problem(&answer, 412, "precondition_failed");
        }
    }
    problem(&disable("2"), 412, "precondition_failed");
    problem(&disable("\"1\", \"2\""), 412, "precondition_failed");
    disable("*").expect(200);
    disable("\"2\"").expect(200);
}

#[test]
fn rotation_hands_over_and_its_secret_is_not_stored() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("ci"));
    let answer = instance
        .managing("POST", &path(&minted, "/rotate"))
        .json(&json!({"grace_s": 3_600, "expires_at": "2099-01-01T00:00:00Z"}))
        .send();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("etag"), Some("\"2\""));
    let rotated = answer.expect(201).json();
    assert_eq!(rotated["token"]["expires_at"], "2099-01-01T00:00:00Z");
    assert_eq!(rotated["token"]["older_hint"], minted["token"]["hint"]);
    assert!(rotated["token"]["grace_until"].is_string());
    for text in [secret(&minted), secret(&rotated)] {
        assert_eq!(code(&instance, &text), "VALID");
    }
    let ended = instance.managing("DELETE", &path(&minted, "/grace")).send().expect(200).json();
    assert_eq!((&ended["grace_until"], &ended["older_hint"]), (&Value::Null, &Value::Null));
    assert_eq!(code(&instance, &secret(&minted)), "EXPIRED");
    let shown = instance.managing("GET", &path(&minted, "")).send().expect(200).json();
    assert!(shown["reused_at"].is_string(), "the expired secret was just presented");

    let null = instance.managing("POST", &path(&minted, "/rotate")).json(&Value::Null);
    let rotated = null.send().expect(201).json();
    // Without a body, the old secret expires immediately.
    let again = instance.managing("POST", &path(&minted, "/rotate")).send().expect(201).json();
    assert_eq!(code(&instance, &secret(&rotated)), "EXPIRED");
    assert_eq!(code(&instance, &secret(&again)), "VALID");
    let refused = instance.managing("POST", &path(&minted, "/rotate"));
    let refused = refused.json(&json!({"grace": 5, "grace_s": -1})).send();
    problem(&refused, 422, "validation_failed");
    let untyped = instance.managing("POST", &path(&minted, "/rotate")).body("{}").send();
    problem(&untyped, 415, "unsupported_media_type");
}

#[test]
fn presented_token_rotates_and_deletes_itself() {
    let instance = Instance::start();
    let minted = instance.minted(OTHER, &draft("me"));
    let by = |secret: &str| By::Token(secret.to_owned());
    let rotate = instance.request(&by(&secret(&minted)), "POST", "/api/v1/self/rotate");
    let answer = rotate.header("if-match", "\"1\"").json(&json!({"until_first_use": true})).send();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let rotated = answer.expect(201).json();
    let get = |secret: &str| instance.request(&by(secret), "GET", "/api/v1/self").send();
    get(&secret(&minted)).expect(200);
    get(&secret(&rotated)).expect(200);
    problem(&get(&secret(&minted)), 401, "invalid_token");
    let delete = instance.request(&by(&secret(&rotated)), "DELETE", "/api/v1/self");
    assert!(delete.send().expect(204).body.is_empty());
    problem(&get(&secret(&rotated)), 401, "invalid_token");
}

#[test]
fn recoverable_secret_is_revealed_only_if_policy_and_scope_allow() {
    let instance = Instance::start();
    let wish = json!({"name": "kept", "scopes": ["rivers:run"], "recoverable": true});
    let refused = owner(&instance, "POST", &tokens_of(WORKSPACE), Some(&wish));
    let refused = problem(&refused, 422, "validation_failed");
    assert_eq!(fields(&refused), ["recoverable: is not allowed by the policy of this workspace"]);
    instance.sql(
        "INSERT INTO policies (id, updated_at) SELECT gen_random_uuid(), now()
          WHERE NOT EXISTS (SELECT FROM policies WHERE workspace_id IS NULL);
         UPDATE policies SET reveal = 'recoverable_allowed';",
    );
    let minted = instance.minted(WORKSPACE, &wish);
    assert_eq!(minted["token"]["recoverable"], true);
    let reveal = path(&minted, "/reveal");
    let answer = owner(&instance, "POST", &reveal, None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.expect(200).json(), minted);
    let refused = instance.managing("POST", &reveal).send();
    problem(&refused, 403, "insufficient_scope");
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"tokens:reveal\""));
    let scopes = json!({"name": "r", "audiences": ["tessera"], "scopes": ["tokens:reveal"]});
    let narrow = By::Token(instance.mint(WORKSPACE, &scopes));
    problem(&instance.request(&narrow, "POST", &reveal).send(), 403, "forbidden");
    let scopes = json!({
        "name": "r", "audiences": ["tessera", "default"], "scopes": ["tokens:reveal", "rivers:run"]
    });
    let wide = By::Token(instance.mint(WORKSPACE, &scopes));
    let shown = instance.request(&wide, "POST", &reveal).send().expect(200).json();
    assert_eq!(shown["secret"], minted["secret"]);
    let plain = instance.minted(WORKSPACE, &draft("plain"));
    problem(&owner(&instance, "POST", &path(&plain, "/reveal"), None), 409, "not_recoverable");
}

#[test]
fn clone_is_another_token_of_the_same_kind() {
    let instance = Instance::start();
    let origin = instance.minted(
        WORKSPACE,
        &json!({"name": "one", "scopes": ["rivers:run"], "tags": {"team": "a"}, "expires_at": "never"}),
    );
    let request = instance.managing("POST", &path(&origin, "/clone"));
    let answer = request.json(&json!({"name": "two"})).send();
    let copy = answer.clone().expect(201).json();
    assert_eq!(answer.header("location"), Some(&*path(&copy, "")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(copy["token"]["name"], "two");
    for field in ["scopes", "tags", "user", "audiences", "expires_at"] {
        assert_eq!(copy["token"][field], origin["token"][field], "{field}");
    }
    assert_ne!(copy["token"]["id"], origin["token"]["id"]);
    assert_eq!(code(&instance, &secret(&copy)), "VALID");
    // A token cannot clone a token that has more than itself.
    let wider = instance.minted(WORKSPACE, &json!({"name": "w", "scopes": ["teams:read"]}));
    let request = instance.managing("POST", &path(&wider, "/clone"));
    let refused = problem(&request.json(&json!({"name": "x"})).send(), 422, "validation_failed");
    assert!(fields(&refused)[0].starts_with("grants: has default/teams:read"));
}

#[test]
fn bulk_request_returns_a_result_for_each_token() {
    let instance = Instance::start();
    let id = |minted: &Value| minted["token"]["id"].clone();
    let one = instance.minted(WORKSPACE, &draft("one"));
    let two = instance.minted(WORKSPACE, &draft("two"));
    let foreign = instance.minted(OTHER, &draft("foreign"));
    let bulk = |body: &Value| {
        let path = format!("{}/bulk", tokens_of(WORKSPACE));
        instance.managing("POST", &path).json(body).send()
    };
    let ids = json!([id(&one), id(&foreign), id(&two)]);
    let answer = bulk(&json!({"action": "disable", "ids": ids})).expect(200).json();
    let items = answer["items"].as_array().unwrap();
    let results: Vec<(&Value, u64, &Value)> = items
        .iter()
        .map(|item| (&item["id"], item["status"].as_u64().unwrap(), &item["problem"]["code"]))
        .collect();
    let missing = json!("not_found");
    assert_eq!(
        results,
        [
            (&id(&one), 200, &Value::Null),
            (&id(&foreign), 404, &missing),
            (&id(&two), 200, &Value::Null)
        ]
    );
    assert!(items[0].get("problem").is_none());
    assert_eq!(code(&instance, &secret(&one)), "DISABLED");
    let shown = owner(&instance, "GET", &path(&foreign, ""), None).expect(200).json();
    assert_eq!(shown["enabled"], true);
    for (action, state) in [("enable", "VALID"), ("expire", "EXPIRED"), ("delete", "REVOKED")] {
        let done = bulk(&json!({"action": action, "ids": [id(&one)]})).expect(200).json();
        let status = if action == "delete" { 204 } else { 200 };
        assert_eq!(done["items"][0]["status"], status);
        assert_eq!(code(&instance, &secret(&one)), state);
    }
    for (body, expected) in [
        (json!({"action": "enable", "ids": []}), "ids: must name 1 to 100 tokens"),
        (json!({"action": "enable", "ids": ["x"]}), "ids[0]: is invalid"),
        (json!({"action": "enable"}), "ids: is missing"),
    ] {
        let refused = problem(&bulk(&body), 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{body}");
    }
    problem(&bulk(&json!({"action": "burn", "ids": [id(&two)]})), 422, "validation_failed");
}
