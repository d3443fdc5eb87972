//! The Devo surface of the built program.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{ALL_SCOPES, Instance, OTHER, OWNER, Sql, WORKSPACE};
use crate::support::{Answer, Request, Server, server::ADMIN_EMAIL};
use serde_json::{Value, json};

const AUDIENCES: [&str; 5] = ["aggregations", "apiv2", "apiv2-admin", "alerts", "http"];
const SCOPES: [&str; 4] = ["tokens:write", "tokens:reveal", "table://*.**", "level://admin"];

/// An instance with Devo's preset and a token that creates tokens on its surface.
struct Devo {
    instance: Instance,
    token: String,
}

impl Devo {
    #[track_caller]
    fn start() -> Self {
        let instance = Instance::start();
        instance.server.run(&["preset", "apply", "devo", "--yes"]).ok();
        let token = input_token(&instance, WORKSPACE, &SCOPES);
        Self { instance, token }
    }

    fn by(&self, token: &str, method: &str, path: &str) -> Request {
        self.instance.server.request(method, path).bearer(token)
    }

    fn call(&self, method: &str, path: &str) -> Request {
        self.by(&self.token, method, path)
    }

    #[track_caller]
    fn create(&self, body: &Value) -> Value {
        self.call("POST", &path("")).json(body).send().expect(200).json()
    }
}

/// A token as the documentation describes it.
#[track_caller]
fn input_token(instance: &Instance, workspace: &str, scopes: &[&str]) -> String {
    let mut arguments = vec!["token", "create", "--workspace", workspace, "--name", "devo"];
    // Tokens that this token creates expire no later than it does.
    arguments.extend(["--expires-in", "never", "--audience", "tessera"]);
    for audience in AUDIENCES {
        arguments.extend(["--audience", audience]);
    }
    for scope in scopes {
        arguments.extend(["--scope", scope]);
    }
    instance.server.run(&arguments).ok().trim().to_owned()
}

fn path(rest: &str) -> String {
    format!("/ws/accounts/{WORKSPACE}/credentials/tokens{rest}")
}

fn query_token() -> Value {
    json!({
        "name": "Query token created by API", "user": ADMIN_EMAIL, "audience": "apiv2-admin apiv2",
        "scopes": "table://my.app.test.tokenapi level://admin",
    })
}

/// Checks the moments of the body, and replaces them with the same values for every run.
#[track_caller]
fn settled(mut body: Value) -> Value {
    for field in ["created", "updated", "expiration"] {
        if let Some(text) = body[field].as_str() {
            let form: String =
                text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(form, "0000-00-00T00:00:00.000+0000", "{field}");
            assert!(text.ends_with("+0000"));
            body[field] = "TIME".into();
        }
    }
    if body.get("token").is_some() {
        body["token"] = "SECRET".into();
    }
    body
}

/// Fails the test unless the response is an error in Devo's envelope. Returns the message.
#[track_caller]
fn error(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-devo-cid"), answer.header("x-request-id"));
    assert!(answer.header("x-devo-cid").is_some_and(|id| id.len() == 36));
    let body = answer.json();
    let message = body["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(body, json!({"error": {"code": status, "message": message}}));
    message
}

#[test]
fn devo_token_has_exactly_the_documented_shape_from_creation_to_deletion() {
    let devo = Devo::start();
    let answer = devo.call("POST", &path("")).json(&query_token()).send().expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-devo-cid"), answer.header("x-request-id"));
    let created = answer.json();
    let id = created["id"].as_i64().unwrap();
    let secret = created["token"].as_str().unwrap().to_owned();
    let shape = json!({
        "name": "Query token created by API", "id": id,
        "scope": "level://admin table://my.app.test.tokenapi", "owner": ADMIN_EMAIL, "user": ADMIN_EMAIL,
        "audience": "apiv2 apiv2-admin", "token_type": "Bearer", "active": true, "expiration": "TIME",
        "account": WORKSPACE, "created": "TIME", "updated": "TIME", "expires_in_seconds": 90 * 86_400,
    });
    let with_value = |mut shape: Value| {
        shape["token"] = "SECRET".into();
        shape
    };
    assert_eq!(settled(created), with_value(shape.clone()));

    // The same token everywhere: here, over REST, and in verifications.
    let verified = devo.instance.verify(&json!({
        "token": secret, "audience": "apiv2", "scopes": ["table://my.app.test.tokenapi"],
    }));
    assert_eq!(verified["code"], "VALID");
    let rest = verified["token_id"].as_str().unwrap();
    let rest = devo.instance.managing("GET", &format!("/api/v1/tokens/{rest}")).send().expect(200);
    assert_eq!((&rest.json()["num"], &rest.json()["recoverable"]), (&json!(id), &json!(true)));

    let list = devo.call("GET", &path("")).send().expect(200);
    assert!(!list.text().contains(&secret) && !list.text().contains(&devo.token));
    let list = list.json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|token| &token["name"]).collect();
    assert_eq!(names, ["manager", "devo", "Query token created by API"]);
    assert_eq!(settled(list[2].clone()), shape);

    let one = path(&format!("/{id}"));
    let shown = devo.call("GET", &one).send().expect(200);
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(shown.json()["token"], *secret);
    assert_eq!(settled(shown.json()), with_value(shape.clone()));

    // A HEAD shows no value, so the log below has no row of it.
    devo.call("HEAD", &one).send().expect(200);

    let put = |end: &str| devo.call("PUT", &format!("{one}/{end}"));
    let mut disabled = shape.clone();
    disabled["active"] = false.into();
    assert_eq!(settled(put("disable").send().expect(200).json()), disabled);
    assert_eq!(devo.instance.verify(&json!({"token": secret}))["code"], "DISABLED");
    assert_eq!(devo.call("GET", &one).send().expect(200).json()["active"], false);
    assert_eq!(settled(put("enable").send().expect(200).json()), shape);
    let mut renamed = shape;
    renamed["name"] = "🚀 שלום".into();
    let answer = put("rename").json(&json!({"name": "🚀 שלום", "else": true})).send();
    assert_eq!(settled(answer.expect(200).json()), renamed);

    let deleted = devo.call("DELETE", &one).send().expect(204);
    assert!(deleted.body.is_empty() && deleted.header("x-devo-cid").is_some());
    assert_eq!(devo.instance.verify(&json!({"token": secret}))["code"], "REVOKED");
    for (method, end) in
        [("GET", ""), ("DELETE", ""), ("PUT", "/enable"), ("PUT", "/disable"), ("PUT", "/rename")]
    {
        let again = devo.call(method, &format!("{one}{end}")).json(&json!({"name": "x"})).send();
        assert_eq!(error(&again, 404), "The token doesn't exist, or you don't have access to it.");
    }

    let mut sql = Sql::on(&devo.instance.server);
    for (action, rows) in
        [("create", 1), ("reveal", 2), ("disable", 1), ("enable", 1), ("update", 1), ("delete", 1)]
    {
        let query = format!(
            "SELECT count(*) FROM audit_events WHERE surface = 'devo' AND action = 'token.{action}'"
        );
        assert_eq!(sql.number(&query), rows, "{action}");
    }
}

#[test]
fn devo_expiry_is_the_requested_one_and_expired_tokens_are_not_active() {
    let devo = Devo::start();
    let mut body = query_token();
    body["expiration"] = "2099-11-26T16:38:18.000+0200".into();
    let created = devo.create(&body);
    assert_eq!(created["expiration"], "2099-11-26T14:38:18.000+0000");
    let id = created["id"].as_i64().unwrap();
    let list =
        devo.instance.managing("GET", &crate::rest_support::tokens_of(WORKSPACE)).send().json();
    let token = list["items"].as_array().unwrap().iter().find(|token| token["num"] == id).unwrap();
    let expire = format!("/api/v1/tokens/{}/expire", token["id"].as_str().unwrap());
    devo.instance.managing("POST", &expire).send().expect(200);
    let shown = devo.call("GET", &path(&format!("/{id}"))).send().expect(200).json();
    assert_eq!(shown["active"], false);
    assert!(shown["token"].is_string());
    let list = devo.call("GET", &path("")).send().expect(200).json();
    let listed = list.as_array().unwrap().iter().find(|token| token["id"] == id).unwrap();
    assert_eq!(listed["active"], false);

    // Without an expiry: null, and no lifetime.
    let owner = crate::rest_support::By::Session(OWNER.to_owned());
    let endless = json!({
        "name": "endless", "audiences": ["http"], "scopes": ["level://admin"], "expires_at": "never",
    });
    let made = devo
        .instance
        .request(&owner, "POST", &crate::rest_support::tokens_of(WORKSPACE))
        .json(&endless)
        .send();
    let number = made.expect(201).json()["token"]["num"].clone();
    let shown = devo.call("GET", &path(&format!("/{number}"))).send().expect(200).json();
    assert_eq!((&shown["expiration"], &shown["expires_in_seconds"]), (&Value::Null, &Value::Null));
    assert!(shown.get("token").is_none(), "the secret was never stored");
}

#[test]
fn devo_value_is_shown_again_only_if_policy_and_rights_allow() {
    let devo = Devo::start();
    let kept = devo.create(&query_token());
    let one = path(&format!("/{}", kept["id"]));
    let reader = input_token(&devo.instance, WORKSPACE, &["tokens:read"]);
    let refused = devo.by(&reader, "GET", &one).send();
    assert!(error(&refused, 403).contains("tokens:reveal"));
    assert!(!refused.text().contains(kept["token"].as_str().unwrap()));
    let narrow = input_token(&devo.instance, WORKSPACE, &["tokens:reveal", "level://admin"]);
    error(&devo.by(&narrow, "GET", &one).send(), 403);
    error(&devo.by(&reader, "POST", &path("")).json(&query_token()).send(), 403);
    error(&devo.by(&reader, "DELETE", &one).send(), 403);

    devo.instance.server.run(&["preset", "apply", "standard", "--yes"]).ok();
    let created = devo.create(&query_token());
    assert!(created["token"].is_string());
    let shown = devo.call("GET", &path(&format!("/{}", created["id"]))).send().expect(200).json();
    assert!(shown.get("token").is_none());
}

#[test]
fn devo_account_is_the_whole_slug_and_shows_nothing_of_other_workspaces() {
    let devo = Devo::start();
    let (server, instance) = (&devo.instance.server, &devo.instance);
    server.run(&["workspace", "create", "--slug", "child@parent", "--name", "Child"]).ok();
    let token = input_token(instance, "child@parent", &SCOPES);
    let at = |account: &str, rest: &str| format!("/ws/accounts/{account}/credentials/tokens{rest}");
    for account in ["child@parent", "child%40parent"] {
        let list = devo.by(&token, "GET", &at(account, "")).send().expect(200).json();
        assert_eq!(list[0]["account"], "child@parent");
        assert_eq!(list.as_array().unwrap().len(), 1);
    }
    let own = devo.create(&query_token())["id"].clone();
    for account in ["child", "parent", "Child@parent", "%00", "🚀", WORKSPACE, OTHER] {
        error(&devo.by(&token, "GET", &at(account, "")).send(), 404);
        error(&devo.by(&token, "POST", &at(account, "")).json(&query_token()).send(), 404);
        for (method, end) in [
            ("GET", ""),
            ("DELETE", ""),
            ("PUT", "/enable"),
            ("PUT", "/disable"),
            ("PUT", "/rename"),
        ] {
            let one = at(account, &format!("/{own}{end}"));
            error(&devo.by(&token, method, &one).json(&json!({"name": "x"})).send(), 404);
        }
    }
    // Another account's number in the caller's own account.
    error(&devo.by(&token, "GET", &at("child@parent", &format!("/{own}"))).send(), 404);
    error(&devo.by(&token, "DELETE", &at("child@parent", &format!("/{own}"))).send(), 404);
    devo.call("GET", &path(&format!("/{own}"))).send().expect(200);
}

#[test]
fn devo_reports_every_mistake_in_its_envelope() {
    let devo = Devo::start();
    let post = |body: &Value| devo.call("POST", &path("")).json(body).send();
    let with = |field: &str, value: Value| {
        let mut body = query_token();
        body[field] = value;
        body
    };
    for (body, message) in [
        (json!({}), "name is missing."),
        (json!([]), "body must be an object, not an array."),
        (with("user", json!(5)), "user must be a string, not an integer."),
        (with("scopes", json!(["level://admin"])), "scopes must be a string, not an array."),
        (with("audience", json!(" ")), "audience must name at least one audience."),
        (
            with("audience", json!("apiv3")),
            "audience has \"apiv3\", which is not an audience of this instance; scopes has \"level://admin\", which is not a scope of the chosen audiences; scopes has \"table://my.app.test.tokenapi\", which is not a scope of the chosen audiences.",
        ),
        (with("scopes", json!("")), "scopes must contain at least one scope."),
        (
            with("scopes", json!("table://**")),
            "scopes has table://**, which the calling token does not hold.",
        ),
        (
            with("expiration", json!("soon")),
            "expiration must be a time such as 2024-11-26T14:38:18.000+0000.",
        ),
        (
            with("expiration", json!("2024-11-26T14:38:18.000+0000")),
            "expiration must be in the future.",
        ),
        (with("expiration", json!(1)), "expiration must be a string, not an integer."),
        (with("name", json!("a\0b")), "name must not contain the character U+0000."),
        (with("name", json!("")), "name must not be empty."),
        (
            with("user", json!("nobody@example.com")),
            "user must be the e-mail address or id of a member of this workspace.",
        ),
    ] {
        let reported = error(&post(&body), 400);
        assert_eq!(reported, message, "{body}");
    }
    for body in ["", "{", "name=a", "\u{feff}{}"] {
        let answer = devo.call("POST", &path("")).header("content-type", "application/json");
        error(&answer.body(body).send(), 400);
    }
    let kind = |kind: &str| devo.call("POST", &path("")).header("content-type", kind);
    error(&kind("text/plain").body(query_token().to_string()).send(), 415);
    error(&kind("application/json").body(vec![b' '; 70_000]).send(), 413);
    let id = devo.create(&query_token())["id"].clone();
    let rename = |body: Value| devo.call("PUT", &path(&format!("/{id}/rename"))).json(&body).send();
    assert_eq!(error(&rename(json!({})), 400), "name is missing.");
    assert_eq!(error(&rename(json!({"name": null})), 400), "name must be a string, not null.");
    error(&rename(json!({"name": "x".repeat(129)})), 400);
    error(&devo.call("PUT", &path(&format!("/{id}/rename"))).body("x").send(), 415);
    for wrong in ["x", "0", "-1", "1.5", "99999999999999999999", "%00"] {
        error(&devo.call("GET", &path(&format!("/{wrong}"))).send(), 404);
        error(&devo.call("PUT", &path(&format!("/{wrong}/enable"))).send(), 404);
    }
    for (method, rest) in [
        ("PATCH", String::new()),
        ("PUT", format!("/{id}")),
        ("POST", format!("/{id}/enable")),
        ("GET", format!("/{id}/rename")),
    ] {
        let answer = devo.call(method, &path(&rest)).send();
        error(&answer, 405);
        assert!(answer.header("allow").is_some());
    }
    error(&devo.call("GET", "/ws/accounts").send(), 404);
    error(&devo.call("PUT", &path(&format!("/{id}/explode"))).send(), 404);

    // An invalid credential, no credential, and two credentials.
    for token in ["", "XYZ"] {
        error(&devo.by(token, "GET", &path("")).send(), if token.is_empty() { 400 } else { 401 });
    }
    error(&devo.instance.server.get(&path("")), 401);
    let two = devo.call("GET", &path("")).header("token", &devo.instance.manager).send();
    error(&two, 400);
    // A session is not a credential here.
    let session = devo.instance.server.request("GET", &path(""));
    error(&session.header("cookie", &format!("tessera={OWNER}")).send(), 401);
}

#[test]
fn devo_accepts_the_token_in_every_header_and_is_404_when_it_is_off() {
    let devo = Devo::start();
    for header in ["token", "rime-api-key"] {
        let request = devo.instance.server.request("GET", &path(""));
        request.header(header, &devo.token).send().expect(200);
    }
    let document = devo.instance.server.get("/api/openapi/devo.json").expect(200).json();
    assert_eq!(document["paths"].as_object().unwrap().len(), 5);

    let server = Server::builder().argument("--surfaces").argument("kriten").start();
    server.admin();
    let token = server.token(WORKSPACE, "manager", "tessera", &ALL_SCOPES[..2]);
    let answer = server.request("GET", &path("")).bearer(&token).send().expect(404);
    assert!(answer.header("x-devo-cid").is_none());
    server.get("/api/openapi/devo.json").expect(404);
}
