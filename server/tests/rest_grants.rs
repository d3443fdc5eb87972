//! Held scopes over REST, the gateways' door and the command line: each is a scope of one audience.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod rest_support;
mod support;

use rest_support::{By, Instance, OWNER, WORKSPACE, problem, tokens_of};
use serde_json::{Value, json};

/// An instance with an API whose scope is called as one of Tessera's.
fn with_vault() -> Instance {
    let instance = Instance::start();
    let catalogue = json!({
        "audience": "vault", "name": "Vault", "groups": [{"name": "Tokens", "scopes": [
            {"name": "tokens:write", "description": "Change tokens of the vault"},
            {"name": "rivers:read", "description": "See rivers of the vault"},
        ]}],
    });
    let path = "/api/v1/audiences/vault/catalogue";
    instance.request(&owner(), "PUT", path).json(&catalogue).send().expect(200);
    instance
}

fn owner() -> By {
    By::Session(OWNER.to_owned())
}

fn by(minted: &Value) -> By {
    By::Token(minted["secret"].as_str().unwrap().to_owned())
}

#[test]
fn scope_of_ones_own_api_says_nothing_to_tessera() {
    let instance = with_vault();
    let flat = json!({"name": "flat", "audiences": ["vault", "tessera"], "scopes": ["verify", "tokens:write"]});
    let answer = instance.request(&owner(), "POST", &tokens_of(WORKSPACE)).json(&flat).send();
    let told = problem(&answer, 422, "validation_failed");
    assert_eq!(told["errors"][0]["field"], "scopes");

    let grants = json!({"vault": ["tokens:write"], "tessera": ["verify"]});
    let minted = instance.minted(WORKSPACE, &json!({"name": "client", "grants": grants}));
    let token = &minted["token"];
    assert_eq!(token["grants"], grants);
    assert_eq!(token["audiences"], json!(["tessera", "vault"]));
    assert_eq!(token["scopes"], json!(["tokens:write", "verify"]));
    let manages = json!({"name": "minted", "grants": {"tessera": ["tokens:write"]}});
    let answer =
        instance.request(&by(&minted), "POST", &tokens_of(WORKSPACE)).json(&manages).send();
    problem(&answer, 403, "insufficient_scope");

    let ask = |query: &str| {
        instance.request(&by(&minted), "GET", &format!("/auth/forward?{query}")).send()
    };
    let passed = ask("audience=vault&scope=tokens:write").expect(200);
    assert_eq!(passed.header("x-tessera-scopes"), Some("tokens:write"));
    let passed = ask("audience=tessera&scope=verify").expect(200);
    assert_eq!(passed.header("x-tessera-scopes"), Some("verify"));
    assert_eq!(ask("").expect(200).header("x-tessera-scopes"), Some("tokens:write verify"));
    ask("audience=tessera&scope=tokens:write").expect(403);
    ask("audience=vault&scope=verify").expect(403);

    let secret = minted["secret"].as_str().unwrap();
    let valid =
        instance.verify(&json!({"token": secret, "audience": "vault", "scopes": ["tokens:write"]}));
    assert_eq!((&valid["code"], &valid["grants"]), (&json!("VALID"), &grants));
    let again =
        instance.verify(&json!({"token": secret, "audience": "vault", "scopes": ["tokens:write"]}));
    assert_eq!(again, valid, "from memory, too");
    let refused = instance
        .verify(&json!({"token": secret, "audience": "tessera", "scopes": ["tokens:write"]}));
    assert_eq!(refused["code"], "INSUFFICIENT_SCOPE");
    let known = instance
        .managing("POST", "/oauth2/introspect")
        .form(&[("token", secret)])
        .send()
        .expect(200)
        .json();
    assert_eq!((&known["scope"], &known["grants"]), (&json!("tokens:write verify"), &grants));
}

#[test]
fn grants_shrink_and_are_found_by_the_pair() {
    let instance = with_vault();
    let grants = json!({"vault": ["tokens:write", "rivers:read"], "default": ["rivers:read"]});
    let minted = instance.minted(WORKSPACE, &json!({"name": "client", "grants": grants}));
    let path = format!("/api/v1/tokens/{}", minted["token"]["id"].as_str().unwrap());
    let change = |body: Value| instance.request(&owner(), "PATCH", &path).json(&body).send();
    problem(&change(json!({"grants": {"default": ["tokens:write"]}})), 422, "validation_failed");
    problem(
        &change(json!({"grants": {"vault": ["rivers:read"]}, "scopes": ["rivers:read"]})),
        422,
        "validation_failed",
    );
    let changed = change(json!({"scopes": ["rivers:read"]})).expect(200).json();
    assert_eq!(changed["grants"], json!({"default": ["rivers:read"], "vault": ["rivers:read"]}));
    let changed = change(json!({"grants": {"vault": ["rivers:read"]}})).expect(200).json();
    assert_eq!(changed["audiences"], json!(["vault"]));
    let names = |query: &str| {
        let list = instance.request(&owner(), "GET", &format!("{}?{query}", tokens_of(WORKSPACE)));
        let items = list.send().expect(200).json()["items"].clone();
        let names = items.as_array().unwrap().iter().map(|token| token["name"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("audience=vault&scope=rivers:read"), ["client"]);
    assert_eq!(names("audience=default&scope=rivers:read"), ["manager"]);
    assert_eq!(names("audience=vault&scope=tokens:write"), [Value::Null; 0]);
}

#[test]
fn flat_request_is_each_scope_at_every_audience_that_declares_it() {
    let instance = with_vault();
    let flat = json!({"name": "flat", "audiences": ["vault", "default"], "scopes": ["rivers:read", "rivers:run"]});
    let minted = instance.minted(WORKSPACE, &flat);
    let expected = json!({"default": ["rivers:read", "rivers:run"], "vault": ["rivers:read"]});
    assert_eq!(minted["token"]["grants"], expected);
    let both =
        json!({"name": "both", "grants": {"vault": ["rivers:read"]}, "scopes": ["rivers:read"]});
    let answer = instance.request(&owner(), "POST", &tokens_of(WORKSPACE)).json(&both).send();
    let told = problem(&answer, 422, "validation_failed");
    assert_eq!(told["errors"][0]["field"], "grants");
}

#[test]
fn import_and_export_have_pairs() {
    let instance = with_vault();
    let digest = "a".repeat(64);
    let csv = format!("digest,name,grants\n{digest},old,vault/tokens:write tessera/verify\n");
    let path = format!("/api/v1/workspaces/{WORKSPACE}/tokens/import");
    let import = instance.request(&owner(), "POST", &path).header("content-type", "text/csv");
    import.body(csv.as_bytes()).send().expect(201);
    let path = format!("/api/v1/workspaces/{WORKSPACE}/tokens/export?format=csv");
    let exported = instance.request(&owner(), "GET", &path).send().expect(200).text();
    let row = exported.lines().find(|line| line.contains(",old,")).unwrap();
    assert!(row.contains(",tessera/verify vault/tokens:write,"), "{row}");
}

#[test]
fn command_line_takes_pairs() {
    let instance = with_vault();
    let create = |scopes: &[&str]| {
        let mut arguments = vec!["token", "create", "--workspace", WORKSPACE, "--name", "cli"];
        arguments.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
        instance.server.run(&arguments)
    };
    create(&["vault/tokens:write", "tessera/verify"]).ok();
    create(&["vault/tokens:write", "verify"]).refused(1);
    let listed = instance.request(&owner(), "GET", &tokens_of(WORKSPACE)).send().expect(200).json();
    let grants = json!({"tessera": ["verify"], "vault": ["tokens:write"]});
    assert_eq!(listed["items"][0]["grants"], grants);
    let id = listed["items"][0]["id"].as_str().unwrap();
    instance.server.run(&["token", "update", id, "--scope", "vault/tokens:write"]).ok();
    let path = format!("/api/v1/tokens/{id}");
    let token = instance.request(&owner(), "GET", &path).send().expect(200).json();
    assert_eq!(token["grants"], json!({"vault": ["tokens:write"]}));
}
