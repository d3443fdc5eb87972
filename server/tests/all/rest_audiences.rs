//! Audiences and scopes over REST: versions, patterns in paths, catalogues in two formats.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OWNER, WORKSPACE, fields, problem};
use crate::support::{Answer, Request};
use serde_json::{Value, json};

const QUERIES: &str = r#"
audience = "apiv2"
name = "Queries"
[[groups]]
name = "Tables"
[[groups.scopes]]
name = "table://my.app.**"
description = "Query tables."
[[groups.scopes]]
name = "table://logs.*"
description = "Query logs."
"#;

fn owner(instance: &Instance, method: &str, path: &str) -> Request {
    let path = format!("/api/v1/audiences{path}");
    instance.request(&By::Session(OWNER.to_owned()), method, &path)
}

fn load(instance: &Instance, query: &str, kind: &str, text: &str) -> Answer {
    let path = format!("/apiv2/catalogue{query}");
    owner(instance, "PUT", &path).header("content-type", kind).body(text).send()
}

fn version(answer: &Answer) -> &str {
    answer.header("etag").unwrap()
}

#[test]
fn audience_and_scope_are_created_changed_and_deleted_by_version() {
    let instance = Instance::start();
    let new = json!({"audience": "billing", "name": "Billing"});
    let made = owner(&instance, "POST", "").json(&new).send().expect(201);
    assert_eq!(made.header("location"), Some("/api/v1/audiences/billing"));
    assert_eq!((version(&made), &made.json()["version"]), ("\"1\"", &json!(1)));
    problem(&owner(&instance, "POST", "").json(&new).send(), 409, "already_exists");
    let bad = owner(&instance, "POST", "").json(&json!({"audience": "A", "name": ""})).send();
    assert_eq!(fields(&problem(&bad, 422, "validation_failed")).len(), 2);

    let scope = json!({"name": "TABLE://my.**", "group": "Tables", "risk": "read"});
    let added =
        owner(&instance, "POST", "/billing/scopes").header("if-match", "\"1\"").json(&scope);
    let added = added.send().expect(201);
    assert_eq!((version(&added), &added.json()["name"]), ("\"2\"", &json!("table://my.**")));
    let late = owner(&instance, "PATCH", "/billing").header("if-match", "\"1\"");
    problem(&late.json(&json!({"name": "B"})).send(), 412, "precondition_failed");
    let odd = owner(&instance, "PATCH", "/billing").header("if-match", "1");
    problem(&odd.json(&json!({"name": "B"})).send(), 412, "precondition_failed");
    let changed = owner(&instance, "PATCH", "/billing").header("if-match", "\"2\"");
    assert_eq!(version(&changed.json(&json!({"name": "B"})).send().expect(200)), "\"3\"");
    let path = "/billing/scopes/table%3A%2F%2Fmy.%2A%2A";
    let changed = owner(&instance, "PATCH", path).json(&json!({"description": "Query."}));
    assert_eq!(changed.send().expect(200).json()["description"], "Query.");
    let wild = json!({"implies": ["a:b"]});
    let refused =
        problem(&owner(&instance, "PATCH", path).json(&wild).send(), 422, "validation_failed");
    assert_eq!(fields(&refused), ["implies: must be empty: a URI cannot imply other scopes"]);
    problem(&owner(&instance, "DELETE", "/billing").send(), 409, "in_use");
    let late = owner(&instance, "DELETE", path).header("if-match", "\"1\"");
    problem(&late.send(), 412, "precondition_failed");
    owner(&instance, "DELETE", path).send().expect(204);
    owner(&instance, "DELETE", "/billing").send().expect(204);
    problem(&owner(&instance, "GET", "/billing").send(), 404, "not_found");
    problem(&owner(&instance, "GET", "/Not%20one").send(), 404, "not_found");
    problem(&owner(&instance, "DELETE", "/tessera").send(), 403, "forbidden");
}

#[test]
fn pattern_is_declared_held_in_part_and_retired() {
    let instance = Instance::start();
    load(&instance, "", "application/toml", QUERIES).expect(200);
    let token = json!({"name": "t", "audiences": ["apiv2"], "scopes": ["table://my.app.web.*"]});
    let minted = instance.minted(WORKSPACE, &token);
    let secret = minted["secret"].as_str().unwrap();
    let code = |scope: &str| -> Value {
        instance.verify(&json!({"token": secret, "audience": "apiv2", "scopes": [scope]}))["code"]
            .clone()
    };
    assert_eq!(code("table://my.app.web.hits"), "VALID");
    assert_eq!(code("table://my.app.web.*"), "VALID");
    assert_eq!(code("table://my.app.**"), "INSUFFICIENT_SCOPE");
    let forward = |scope: &str| {
        let path = format!("/auth/forward?audience=apiv2&scope={scope}");
        instance.server.request("GET", &path).bearer(secret).send()
    };
    forward("table://my.app.web.hits").expect(200);
    let refused = forward("table://my.app.**").expect(403);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("scope=\"table://my.app.**\""), "{challenge}");

    let path = "/apiv2/scopes/table%3A%2F%2Fmy.app.**";
    let retire = |body: &Value| {
        owner(&instance, "POST", &format!("{path}/retire")).json(body).send().expect(200)
    };
    let looked = retire(&json!({"dry_run": true}));
    assert_eq!((version(&looked), &looked.json()["uses"]["count"]), ("\"1\"", &json!(1)));
    assert_eq!(looked.json()["uses"]["tokens"][0]["id"], minted["token"]["id"]);
    assert_eq!(code("table://my.app.web.hits"), "VALID");
    problem(&owner(&instance, "DELETE", path).send(), 409, "in_use");
    let retired = retire(&json!({}));
    assert!(retired.json()["scope"]["retired_at"].is_string());
    assert_eq!(code("table://my.app.web.hits"), "INSUFFICIENT_SCOPE");
    let shown = owner(&instance, "GET", "/apiv2").send().expect(200).json();
    assert_eq!(shown["groups"][0]["scopes"].as_array().unwrap().len(), 1);
    let listed = owner(&instance, "GET", "/apiv2/scopes").send().expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    owner(&instance, "POST", &format!("{path}/unretire")).send().expect(200);
    assert_eq!(code("table://my.app.web.hits"), "VALID");
}

#[test]
fn catalogue_is_previewed_and_loaded_as_toml_or_json() {
    let instance = Instance::start();
    let looked = load(&instance, "?dry_run=true", "application/toml; charset=utf-8", QUERIES);
    let looked = looked.expect(200).json();
    assert_eq!((&looked["dry_run"], &looked["version"]), (&json!(true), &json!(0)));
    assert_eq!(looked["added"], json!(["table://my.app.**", "table://logs.*"]));
    problem(&owner(&instance, "GET", "/apiv2").send(), 404, "not_found");
    let loaded = load(&instance, "", "application/toml", QUERIES).expect(200);
    assert_eq!(version(&loaded), "\"1\"");

    instance.mint(
        WORKSPACE,
        &json!({"name": "t", "audiences": ["apiv2"], "scopes": ["table://my.app.web"]}),
    );
    let other = json!({"audience": "apiv2", "name": "Queries", "groups": [
        {"name": "Levels", "scopes": [{"name": "level://*", "description": "", "risk": "admin"}]}]});
    let text = other.to_string();
    let refused = load(&instance, "", "application/json", &text);
    assert_eq!(
        fields(&problem(&refused, 422, "validation_failed")),
        ["groups: lacks table://my.app.**, which is in use; tokens that hold it: 1"]
    );
    let loaded = load(&instance, "?retire=true", "application/json", &text).expect(200).json();
    assert_eq!(loaded["added"], json!(["level://*"]));
    assert_eq!(loaded["retired"], json!(["table://my.app.**"]));
    assert_eq!(loaded["removed"], json!(["table://logs.*"]));
    assert_eq!((&loaded["version"], &loaded["uses"]["count"]), (&json!(2), &json!(1)));

    problem(&load(&instance, "", "text/plain", QUERIES), 415, "unsupported_media_type");
    problem(&load(&instance, "?force=true", "application/toml", QUERIES), 422, "validation_failed");
    let broken = load(&instance, "", "application/toml", "audience = \"apiv2\"\ncolour = 1\n");
    let broken = problem(&broken, 422, "validation_failed");
    assert!(
        fields(&broken)[0].contains("line 2") && fields(&broken)[0].contains("colour"),
        "{broken}"
    );
    // The text of a caller that may not load it is not parsed.
    let manager = By::Token(instance.manager.clone());
    let request = instance.request(&manager, "PUT", "/api/v1/audiences/apiv2/catalogue");
    let unread = request.header("content-type", "application/toml").body("colour = 1").send();
    problem(&unread, 403, "forbidden");
    let elsewhere = QUERIES.replace("apiv2", "other");
    let refused =
        problem(&load(&instance, "", "application/toml", &elsewhere), 422, "validation_failed");
    assert_eq!(fields(&refused), ["audience: must be apiv2, as in the path"]);
}
