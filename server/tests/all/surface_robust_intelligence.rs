//! The Robust Intelligence surface of the built program.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{Instance, OTHER, OWNER, Sql, WORKSPACE};
use crate::support::{Answer, Request, Server};
use serde_json::{Value, json};

const TOKENS: &str = "/v1/users/api-tokens";

/// A request with the managing token in the header that the product's clients use.
fn call(instance: &Instance, method: &str, path: &str) -> Request {
    instance.server.request(method, path).header("rime-api-key", &instance.manager)
}

#[track_caller]
fn create(instance: &Instance, body: &Value) -> Answer {
    call(instance, "POST", TOKENS).json(body).send()
}

/// Fails the test unless the response is a gRPC error with this code. Returns the message.
#[track_caller]
fn error(answer: &Answer, status: u16, code: u8) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let message = body["message"].as_str().unwrap().to_owned();
    assert_eq!(body, json!({"code": code, "message": message, "details": []}));
    message
}

/// The record of the managing token itself.
fn own(instance: &Instance) -> Value {
    instance.managing("GET", "/api/v1/self").send().expect(200).json()
}

fn workspace_id(instance: &Instance, slug: &str) -> String {
    let list = instance
        .request(&crate::rest_support::By::Session(OWNER.to_owned()), "GET", "/api/v1/workspaces")
        .send()
        .expect(200)
        .json();
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["slug"] == slug).expect("it is listed");
    found["id"].as_str().unwrap().to_owned()
}

#[test]
fn robust_intelligence_token_has_exactly_the_documented_shape_from_creation_to_deletion() {
    let instance = Instance::start();
    let workspace = workspace_id(&instance, WORKSPACE);
    let answer = create(
        &instance,
        &json!({
            "name": "ci", "workspaceId": {"uuid": workspace}, "tokenType": "TOKEN_TYPE_USER",
            "expiryDays": 180, "else": {},
        }),
    )
    .expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let created = answer.json();
    let (id, secret) =
        (created["id"]["uuid"].as_str().unwrap(), created["fullApiToken"].as_str().unwrap());
    assert_eq!(created, json!({"id": {"uuid": id}, "fullApiToken": secret}));

    // It may do what the calling token may do, and REST shows the same token.
    let token = instance.managing("GET", &format!("/api/v1/tokens/{id}")).send().expect(200).json();
    let asks = own(&instance);
    for field in ["scopes", "audiences", "user", "workspace"] {
        assert_eq!(token[field], asks[field], "{field}");
    }
    assert_eq!(instance.verify(&json!({"token": secret}))["code"], "VALID");
    assert_eq!(token["recoverable"], false);

    let list = call(&instance, "GET", &format!("{TOKENS}?workspaceId.uuid={workspace}&pageSize=1"));
    let list = list.send().expect(200);
    assert!(!list.text().contains(secret));
    let list = list.json();
    let next = list["nextPageToken"].as_str().unwrap();
    assert_eq!(
        list,
        json!({
            "apiTokenInfos": [{
                "id": {"uuid": id}, "name": "ci", "suffix": secret[36..],
                "creationTime": token["created_at"], "expirationTime": token["expires_at"],
                "workspaceId": {"uuid": workspace}, "userId": token["user"]["id"],
                "tokenType": "TOKEN_TYPE_USER",
            }],
            "nextPageToken": next, "hasMore": true,
        })
    );
    let rest = call(&instance, "GET", &format!("{TOKENS}?pageSize=1&pageToken={next}")).send();
    let rest = rest.expect(200).json();
    assert_eq!(rest["apiTokenInfos"][0]["name"], "manager");
    assert_eq!((&rest["nextPageToken"], &rest["hasMore"]), (&json!(""), &json!(false)));
    let agents = format!("{TOKENS}?firstPageQuery.tokenType=TOKEN_TYPE_EXTERNAL_AGENT&pageSize=1");
    let agents = call(&instance, "GET", &agents).send().expect(200).json();
    assert_eq!(agents, json!({"apiTokenInfos": [], "nextPageToken": "", "hasMore": false}));

    let one = format!("{TOKENS}/{id}");
    assert_eq!(call(&instance, "DELETE", &one).send().expect(200).json(), json!({}));
    assert_eq!(instance.verify(&json!({"token": secret}))["code"], "REVOKED");
    error(&call(&instance, "DELETE", &one).send(), 404, 5);
    let mut sql = Sql::on(&instance.server);
    for action in ["create", "delete"] {
        let rows = sql.number(&format!(
            "SELECT count(*) FROM audit_events
              WHERE surface = 'robust_intelligence' AND action = 'token.{action}'"
        ));
        assert_eq!(rows, 1, "{action}");
    }

    // A name is enough. The workspace is then that of the calling token.
    create(&instance, &json!({"name": "least"})).expect(200);
    let least = call(&instance, "GET", TOKENS).send().expect(200).json();
    assert_eq!(least["apiTokenInfos"][0]["workspaceId"]["uuid"], *workspace);
}

#[test]
fn robust_intelligence_enforces_its_limits_under_its_preset() {
    let instance = Instance::start();
    instance.server.run(&["preset", "apply", "robust_intelligence", "--yes"]).ok();
    create(&instance, &json!({"name": "default"})).expect(200);
    create(&instance, &json!({"name": "longest", "expiryDays": 270})).expect(200);
    let list = call(&instance, "GET", TOKENS).send().expect(200).json();
    for info in &list["apiTokenInfos"].as_array().unwrap()[..2] {
        let mut sql = Sql::on(&instance.server);
        let days = sql.number(&format!(
            "SELECT extract(day FROM expires_at - created_at)::bigint FROM tokens WHERE id = '{}'",
            info["id"]["uuid"].as_str().unwrap()
        ));
        assert_eq!(days, 270);
    }
    let late = create(&instance, &json!({"name": "late", "expiryDays": "271"}));
    let message = error(&late, 400, 3);
    assert!(
        message.starts_with("expiryDays must not be later than ") && message.contains("270 days"),
        "{message}"
    );
    instance.sql(
        "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at)
         SELECT gen_random_uuid(), w.id, t.user_id, 'n' || i, t.scopes, t.hint, t.created_at, t.updated_at
           FROM tokens t, workspaces w, generate_series(1, 197) AS i
          WHERE t.name = 'default' AND w.slug = 'other'",
    );
    let full = create(&instance, &json!({"name": "too many"}));
    assert!(error(&full, 429, 8).contains("200"));
}

#[test]
fn robust_intelligence_reports_every_mistake_as_grpc_does() {
    let instance = Instance::start();
    for (body, message) in [
        (json!({}), "name is missing."),
        (json!([]), "body must be an object, not an array."),
        (json!({"name": 5}), "name must be a string, not an integer."),
        (json!({"name": ""}), "name must not be empty."),
        (json!({"name": "a\0b"}), "name must not contain the character U+0000."),
        (json!({"name": "a", "workspaceId": {"uuid": "x"}}), "workspaceId.uuid must be a UUID."),
        (json!({"name": "a", "expiryDays": "x"}), "expiryDays must be a whole number."),
        (json!({"name": "a", "expiryDays": -1}), "expiryDays must be in the future."),
        (json!({"name": "a", "expiryDays": i64::MAX}), "expiryDays is out of range."),
        (
            json!({"name": "a", "tokenType": "TOKEN_TYPE_FIREWALL_AGENT"}),
            "tokenType must be TOKEN_TYPE_USER: Tessera has no agents.",
        ),
    ] {
        assert_eq!(error(&create(&instance, &body), 400, 3), message, "{body}");
    }
    error(&create(&instance, &json!({"name": "a", "tokenType": "ROBOT"})), 400, 3);
    let post = |kind: &str, body: Vec<u8>| {
        call(&instance, "POST", TOKENS).header("content-type", kind).body(body).send()
    };
    for body in ["", "{", "name=a", "{} x"] {
        error(&post("application/json", body.into()), 400, 3);
    }
    error(&post("text/plain", b"{\"name\":\"a\"}".to_vec()), 400, 3);
    error(&post("application/json", vec![b' '; 70_000]), 400, 3);
    for query in [
        "pageSize=-1",
        "pageSize=x",
        "pageToken=x",
        "workspaceId.uuid=x",
        "firstPageQuery.tokenType=x",
    ] {
        let answer = call(&instance, "GET", &format!("{TOKENS}?{query}")).send();
        let message = error(&answer, 400, 3);
        assert!(message.starts_with(query.split('=').next().unwrap()), "{message}");
    }
    call(&instance, "GET", &format!("{TOKENS}?pageSize=100000&unknown=1")).send().expect(200);
    for id in ["x", "%00", "🚀", "00000000-0000-7000-8000-000000000000"] {
        error(&call(&instance, "DELETE", &format!("{TOKENS}/{id}")).send(), 404, 5);
    }
    for (method, path) in [
        ("PUT", TOKENS.to_owned()),
        ("DELETE", TOKENS.to_owned()),
        ("GET", format!("{TOKENS}/x")),
        ("POST", "/v1/rime-info".to_owned()),
    ] {
        error(&call(&instance, method, &path).send(), 501, 12);
    }
    error(&call(&instance, "GET", "/v1/projects").send(), 404, 5);

    // Another tenant's workspace, and its token.
    let other = workspace_id(&instance, OTHER);
    let body = json!({"name": "a", "workspaceId": {"uuid": other}});
    error(&create(&instance, &body), 404, 5);
    let listed = call(&instance, "GET", &format!("{TOKENS}?workspaceId.uuid={other}")).send();
    error(&listed, 404, 5);
    let theirs = json!({"name": "theirs", "scopes": ["rivers:read"]});
    let theirs = instance.minted(OTHER, &theirs)["token"]["id"].as_str().unwrap().to_owned();
    error(&call(&instance, "DELETE", &format!("{TOKENS}/{theirs}")).send(), 404, 5);

    // No credential, a missing scope, and two credentials.
    let server = &instance.server;
    error(&server.get(TOKENS), 401, 16);
    error(&server.get("/v1/rime-info"), 401, 16);
    error(&server.request("GET", TOKENS).header("rime-api-key", "XYZ").send(), 401, 16);
    let session = server.request("GET", TOKENS).header("cookie", &format!("tessera={OWNER}"));
    error(&session.send(), 401, 16);
    let runner = instance.mint(WORKSPACE, &json!({"name": "runner", "scopes": ["rivers:run"]}));
    let lacks = server.request("POST", TOKENS).header("rime-api-key", &runner);
    error(&lacks.json(&json!({"name": "a"})).send(), 403, 7);
    error(&call(&instance, "GET", TOKENS).bearer(&runner).send(), 400, 3);
}

#[test]
fn robust_intelligence_sdk_gets_its_information_and_404_when_the_surface_is_off() {
    let instance = Instance::start();
    let info = call(&instance, "GET", "/v1/rime-info").send().expect(200).json();
    assert_eq!(
        info,
        json!({
            "clusterInfoVersion": concat!("Tessera ", env!("CARGO_PKG_VERSION")),
            "customerName": WORKSPACE,
            "expirationTime": "9999-12-30T00:00:00Z", "gracePeriodEndTime": "9999-12-30T00:00:00Z",
        })
    );
    let limit = |customer: &str, limit: &str| {
        call(&instance, "GET", &format!("/v1/feature-flags/{customer}/limits/{limit}")).send()
    };
    assert_eq!(
        limit(WORKSPACE, "LICENSE_LIMIT_EXPIRATION").expect(200).json(),
        json!({"limitStatus": {"limit": "LICENSE_LIMIT_EXPIRATION", "limitStatus": "STATUS_OK"}})
    );
    error(&limit(OTHER, "LICENSE_LIMIT_EXPIRATION"), 404, 5);
    error(&limit(WORKSPACE, "LICENSE_LIMIT_FIREWALL"), 404, 5);
    for header in ["token", "rime-api-key"] {
        let request = instance.server.request("GET", TOKENS).header(header, &instance.manager);
        request.send().expect(200);
    }
    instance.managing("GET", TOKENS).send().expect(200);
    let document = "/api/openapi/robust-intelligence.json";
    let described = instance.server.get(document).expect(200).json();
    assert_eq!(described["paths"].as_object().unwrap().len(), 4);

    let server = Server::builder().argument("--surfaces").argument("devo").start();
    server.admin();
    let token = server.managing_token(WORKSPACE);
    for path in [TOKENS, "/v1/rime-info"] {
        server.request("GET", path).bearer(&token).send().expect(404);
    }
    server.get(document).expect(404);
}
