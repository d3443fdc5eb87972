//! The table of who may do what: callers × operations. An operation that is not in the table fails
//! the test, and so does one of the table that the API does not have.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod rest_support;
mod support;

use std::collections::BTreeSet;

use rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, draft};
use serde_json::{Value, json};

/// Who calls, in the order of the table's columns.
const CALLERS: [&str; 14] = [
    "nobody",
    "plain token",
    "reading token",
    "writing token",
    "verifying token",
    "foreign token",
    "token of a viewer",
    "owner",
    "admin",
    "member",
    "viewer",
    "verifier",
    "auditor",
    "stranger",
];

/// Method, path of the document, expected statuses in the order of `CALLERS`. The two that change the
/// caller's own token come last, and deletion after rotation.
#[rustfmt::skip]
const TABLE: [(&str, &str, [u16; 14]); 37] = [
    //                                             nobody plain read write verif forei vtok  owner admin membr viewr verif audit stran
    ("get",    "/api/v1/audiences",               [401,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200]),
    ("get",    "/api/v1/audit",                   [401,  403,  403,  403,  403,  403,  403,  200,  403,  403,  403,  403,  200,  403]),
    ("post",  "/api/v1/audiences",                                [401,  403,  403,  403,  403,  403,  403,  201,  403,  403,  403,  403,  403,  403]),
    ("get",   "/api/v1/audiences/{slug}",                         [401,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200]),
    ("patch", "/api/v1/audiences/{slug}",                         [401,  403,  403,  403,  403,  403,  403,  200,  403,  403,  403,  403,  403,  403]),
    ("delete","/api/v1/audiences/{slug}",                         [401,  403,  403,  403,  403,  403,  403,  204,  403,  403,  403,  403,  403,  403]),
    ("put",   "/api/v1/audiences/{slug}/catalogue",               [401,  403,  403,  403,  403,  403,  403,  200,  403,  403,  403,  403,  403,  403]),
    ("get",   "/api/v1/audiences/{slug}/scopes",                  [401,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200]),
    ("post",  "/api/v1/audiences/{slug}/scopes",                  [401,  403,  403,  403,  403,  403,  403,  201,  403,  403,  403,  403,  403,  403]),
    ("patch", "/api/v1/audiences/{slug}/scopes/{name}",           [401,  403,  403,  403,  403,  403,  403,  200,  403,  403,  403,  403,  403,  403]),
    ("delete","/api/v1/audiences/{slug}/scopes/{name}",           [401,  403,  403,  403,  403,  403,  403,  204,  403,  403,  403,  403,  403,  403]),
    ("post",  "/api/v1/audiences/{slug}/scopes/{name}/retire",    [401,  403,  403,  403,  403,  403,  403,  200,  403,  403,  403,  403,  403,  403]),
    ("post",  "/api/v1/audiences/{slug}/scopes/{name}/unretire",  [401,  403,  403,  403,  403,  403,  403,  200,  403,  403,  403,  403,  403,  403]),
    ("get",    "/api/v1/self",                    [401,  200,  200,  200,  200,  200,  200,  401,  401,  401,  401,  401,  401,  401]),
    ("get",    "/api/v1/workspaces",              [401,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200,  200]),
    ("get",    "/api/v1/workspaces/{ws}",         [401,  403,  200,  200,  403,  404,  200,  200,  200,  200,  200,  200,  200,  404]),
    ("get",    "/api/v1/workspaces/{ws}/tokens",  [401,  403,  200,  200,  403,  404,  403,  200,  200,  403,  403,  403,  403,  404]),
    ("post",   "/api/v1/workspaces/{ws}/tokens",  [401,  403,  403,  201,  403,  404,  403,  201,  201,  403,  403,  403,  403,  404]),
    ("get",    "/api/v1/workspaces/{ws}/audit",   [401,  403,  403,  403,  403,  404,  403,  200,  200,  403,  403,  403,  200,  404]),
    ("get",    "/api/v1/workspaces/{ws}/tokens/export", [401, 403, 200, 200, 403, 404, 403, 200, 200, 403, 403, 403, 403, 404]),
    ("post",   "/api/v1/workspaces/{ws}/tokens/import", [401, 403, 403, 201, 403, 404, 403, 201, 201, 403, 403, 403, 403, 404]),
    ("get",    "/api/v1/tokens/{id}/usage",       [401,  403,  200,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    ("get",    "/api/v1/tokens/{id}",             [401,  403,  200,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    ("patch",  "/api/v1/tokens/{id}",             [401,  403,  403,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    ("delete", "/api/v1/tokens/{id}",             [401,  403,  403,  204,  403,  404,  403,  204,  204,  404,  404,  404,  404,  404]),
    ("post",   "/api/v1/tokens/{id}/enable",      [401,  403,  403,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    ("post",   "/api/v1/tokens/{id}/disable",     [401,  403,  403,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    ("post",   "/api/v1/tokens/{id}/expire",      [401,  403,  403,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    ("post",   "/api/v1/tokens/{id}/rotate",      [401,  403,  403,  201,  403,  404,  403,  201,  201,  404,  404,  404,  404,  404]),
    ("delete", "/api/v1/tokens/{id}/grace",       [401,  403,  403,  200,  403,  404,  403,  200,  200,  404,  404,  404,  404,  404]),
    // The victim's secret was not kept: 409 is for those who may see it.
    ("post",   "/api/v1/tokens/{id}/reveal",      [401,  403,  403,  403,  403,  404,  403,  409,  409,  404,  404,  404,  404,  404]),
    ("post",   "/api/v1/tokens/{id}/clone",       [401,  403,  403,  201,  403,  404,  403,  201,  201,  404,  404,  404,  404,  404]),
    ("post",   "/api/v1/workspaces/{ws}/tokens/bulk", [401, 403, 403, 200, 403, 404, 403, 200, 200,  403,  403,  403,  403,  404]),
    ("post",   "/api/v1/verify",                  [401,  403,  403,  403,  200,  403,  403,  200,  200,  403,  403,  200,  403,  403]),
    ("get",    "/auth/forward",                   [401,  200,  200,  200,  200,  200,  200,  401,  401,  401,  401,  401,  401,  401]),
    ("post",   "/api/v1/self/rotate",             [401,  201,  201,  201,  201,  201,  201,  401,  401,  401,  401,  401,  401,  401]),
    ("delete", "/api/v1/self",                    [401,  204,  204,  204,  204,  204,  204,  401,  401,  401,  401,  401,  401,  401]),
];

fn callers(instance: &Instance) -> Vec<By> {
    let token = |workspace: &str, scopes: &[&str]| {
        let body = json!({"name": "caller", "audiences": ["tessera"], "scopes": scopes});
        By::Token(instance.mint(workspace, &body))
    };
    let admin = instance.person("adam", "member", Some("admin"));
    let member = instance.person("mel", "member", Some("member"));
    let viewer = instance.person("vic", "member", Some("viewer"));
    let verifier = instance.person("vera", "member", Some("verifier"));
    let auditor = instance.person("aud", "auditor", None);
    let stranger = instance.person("sam", "member", None);
    // Its scopes are more than its user may do: the smaller of the two counts.
    let token_of_viewer = By::Token(instance.mint(
        WORKSPACE,
        &json!({"name": "v", "user": "vic@example.com", "audiences": ["tessera"], "scopes": ["tokens:write", "verify"]}),
    ));
    vec![
        By::Nobody,
        By::Token(instance.mint(WORKSPACE, &draft("plain"))),
        token(WORKSPACE, &["tokens:read"]),
        token(WORKSPACE, &["tokens:write"]),
        token(WORKSPACE, &["verify"]),
        token(OTHER, &["tokens:write"]),
        token_of_viewer,
        By::Session(OWNER.to_owned()),
        admin,
        member,
        viewer,
        verifier,
        auditor,
        stranger,
    ]
}

#[test]
fn every_caller_may_do_exactly_what_the_table_says() {
    let instance = Instance::start();
    let callers = callers(&instance);
    assert_eq!(callers.len(), CALLERS.len());
    let subject = instance.mint(WORKSPACE, &draft("subject"));
    let mut wrong = Vec::new();
    for (method, template, expected) in &TABLE {
        for ((by, name), expected) in callers.iter().zip(CALLERS).zip(expected) {
            // What a writing token holds itself, of a user whom every administrator may stand for.
            let victim = json!({"name": "victim", "user": "adam@example.com", "audiences": ["tessera"], "scopes": ["tokens:read"]});
            let victim = instance.minted(WORKSPACE, &victim);
            let id = victim["token"]["id"].as_str().unwrap();
            let path = template.replace("{ws}", WORKSPACE).replace("{id}", id);
            let path = audience(&instance, template, &path);
            let request = instance.request(by, &method.to_uppercase(), &path);
            let request = match (*method, *template) {
                // What a writing token holds itself.
                ("post", "/api/v1/workspaces/{ws}/tokens") => request.json(
                    &json!({"name": "new", "audiences": ["tessera"], "scopes": ["tokens:read"]}),
                ),
                ("patch", "/api/v1/tokens/{id}") => request.json(&json!({"name": "changed"})),
                ("post", "/api/v1/tokens/{id}/clone") => request.json(&json!({"name": "copy"})),
                ("post", "/api/v1/workspaces/{ws}/tokens/bulk") => {
                    request.json(&json!({"action": "disable", "ids": [id]}))
                }
                // The secret that is presented here is needed once more.
                ("post", "/api/v1/self/rotate") => request.json(&json!({"grace_s": 3_600})),
                // A digest that nobody has imported yet: that of the victim's id, in a way.
                ("post", "/api/v1/workspaces/{ws}/tokens/import") => {
                    let id = victim["token"]["id"].as_str().unwrap().replace('-', "");
                    let row = json!({"digest": format!("{id}{id}"), "name": "foreign", "audiences": ["tessera"], "scopes": ["tokens:read"]});
                    request.header("content-type", "application/jsonl").body(row.to_string())
                }
                ("post", "/api/v1/verify") => request.json(&json!({"token": subject})),
                (_, template) if template.starts_with("/api/v1/audiences") => {
                    match body(method, template) {
                        Value::Null => request,
                        body => request.json(&body),
                    }
                }
                _ => request,
            };
            let answer = request.send();
            if answer.status != *expected {
                wrong.push(format!(
                    "{method} {template} by {name}: {} instead of {expected}: {}",
                    answer.status,
                    answer.text()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The path to an audience of its own, where the operation concerns one: nothing of what one caller
/// did is left for the next.
fn audience(instance: &Instance, template: &str, path: &str) -> String {
    if !template.starts_with("/api/v1/audiences") {
        return path.to_owned();
    }
    // Before the scopes: an audience that has some cannot be deleted.
    instance.sql(
        "DELETE FROM scopes WHERE audience_id IN (SELECT id FROM audiences WHERE slug IN ('mine', 'new'));
         DELETE FROM audiences WHERE slug IN ('mine', 'new');
         INSERT INTO audiences (id, slug, name, created_at, updated_at)
         VALUES (gen_random_uuid(), 'mine', 'Mine', now(), now());",
    );
    if template.contains("{name}") {
        instance.sql(
            "INSERT INTO scopes (audience_id, name, risk, group_name, position)
             SELECT id, 'table://my.**', 'read', 'Tables', 0 FROM audiences WHERE slug = 'mine'",
        );
    }
    path.replace("{slug}", "mine").replace("{name}", "table%3A%2F%2Fmy.%2A%2A")
}

/// What is sent to an operation on audiences.
fn body(method: &str, template: &str) -> Value {
    match (method, template.rsplit('/').next().unwrap()) {
        ("post", "audiences") => json!({"audience": "new", "name": "New"}),
        ("post", "scopes") => json!({"name": "level://*", "group": "Levels"}),
        ("post", "retire") => json!({}),
        ("patch", _) => json!({"description": "Other."}),
        ("put", _) => json!({"audience": "mine", "name": "Mine"}),
        _ => Value::Null,
    }
}

#[test]
fn table_and_document_and_routes_are_the_same() {
    let server = support::Server::start();
    let document = server.get("/api/openapi.json").expect(200).json();
    let documented: BTreeSet<(String, String)> = operations(&document).into_iter().collect();
    let tabled: BTreeSet<(String, String)> =
        TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(documented, tabled);
    // The routes: each path has just the documented methods.
    for path in documented.iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
        if path == "/auth/forward" {
            continue;
        }
        let real = path
            .replace("{ws}", WORKSPACE)
            .replace("{id}", "x")
            .replace("{slug}", "default")
            .replace("{name}", "rivers:run");
        let answer = server.request("TRACE", &real).send().expect(405);
        let allowed: BTreeSet<String> = answer
            .header("allow")
            .unwrap()
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_lowercase)
            .collect();
        let expected: BTreeSet<String> = documented
            .iter()
            .filter(|(_, documented)| documented == path)
            .map(|(method, _)| method.clone())
            .collect();
        assert_eq!(allowed, expected, "{path}");
    }
}

fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        })
        .collect()
}
