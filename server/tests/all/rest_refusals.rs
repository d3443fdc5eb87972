//! The audit log contains refusals, at every endpoint.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::console_support::Browser;
use crate::rest_support::{By, Instance, OWNER, WORKSPACE, tokens_of};
use crate::support::{
    Answer, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
    wait::until,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The rows of an action, newest first, once there are `count`.
fn rows(instance: &Instance, action: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} rows of {action}"), || {
        let path = format!("/api/v1/audit?action={action}");
        let owner = By::Session(OWNER.to_owned());
        let page = instance.request(&owner, "GET", &path).send().expect(200).json();
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= count, "{items:?}");
        (items.len() == count).then_some(items)
    })
}

fn subjects(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["subject_name"].as_str().unwrap()).collect()
}

#[test]
fn failed_authorisations_are_recorded_with_caller_action_and_place() {
    let instance = Instance::start();
    let member = instance.person("mia", "member", Some("viewer"));
    let stranger = instance.person("sam", "member", None);
    let token = instance.minted(WORKSPACE, &json!({"name": "t", "scopes": ["rivers:read"]}));
    let id = token["token"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/tokens/{id}");
    // A forbidden action, a hidden token, a request from another site, and a read of something
    // hidden, which adds no row.
    instance
        .request(&member, "POST", &tokens_of(WORKSPACE))
        .json(&json!({"name": "x"}))
        .send()
        .expect(403);
    instance.request(&stranger, "DELETE", &path).send().expect(404);
    instance.request(&stranger, "GET", &path).send().expect(404);
    let By::Session(secret) = &member else { panic!() };
    let foreign =
        instance.server.request("POST", &tokens_of(WORKSPACE)).json(&json!({"name": "x"}));
    let foreign = foreign.header("cookie", &format!("tessera={secret}"));
    foreign.header("origin", "https://evil.example").send().expect(403);
    // Requests without a known caller add no rows.
    instance.server.request("DELETE", &path).send().expect(401);
    instance.server.request("DELETE", "/api/v1/nowhere").send().expect(404);

    let rows = rows(&instance, "access.refused", 3);
    assert_eq!(
        subjects(&rows),
        [
            "POST /api/v1/workspaces/{ws}/tokens",
            "DELETE /api/v1/tokens/{id}",
            "POST /api/v1/workspaces/{ws}/tokens"
        ]
    );
    assert_eq!(rows[0]["after"]["code"], "cross_origin");
    assert_eq!(rows[1]["after"], json!({"status": 404, "code": "not_found"}));
    assert_eq!((&rows[1]["actor_name"], &rows[1]["subject_id"]), (&json!("sam"), &json!(id)));
    assert_eq!(
        rows[2]["after"],
        json!({"status": 403, "code": "forbidden", "workspace": WORKSPACE})
    );
    for row in &rows {
        assert_eq!((&row["client_ip"], &row["surface"]), (&json!("127.0.0.1"), &json!("rest")));
    }
}

#[test]
fn refused_tokens_are_recorded_on_every_surface_except_for_gateways() {
    let instance = Instance::start();
    let unknown = "tsr_0000000000000000000000000000000000A";
    let send = |method: &str, path: &str| {
        let request = instance.server.request(method, path).bearer(unknown);
        request.header("content-type", "application/x-www-form-urlencoded").body("token=x").send()
    };
    send("GET", "/auth/forward").expect(401);
    for (method, path, surface) in [
        ("GET", "/api/v1/self", "rest"),
        ("POST", "/api/v1/verify", "rest"),
        ("POST", "/api/v1/verify/batch", "rest"),
        ("POST", "/oauth2/introspect", "oauth2"),
        ("GET", "/api/v1/api_tokens", "kriten"),
        ("GET", "/v1/users/api-tokens", "robust_intelligence"),
        ("GET", "/ws/accounts/workspace-1/credentials/tokens", "devo"),
        ("POST", "/oauth2/revoke", "oauth2"),
    ] {
        assert_eq!(send(method, path).status, 401, "{path}");
        let route = path.replace("workspace-1", "{account}");
        let rows = until("the row", || {
            let rows = instance
                .server
                .run(&["audit", "list", "--action", "access.credential_refused", "--json"])
                .ok();
            let is_there = rows.contains(&format!("\"{surface}\"")) && rows.contains(&route);
            is_there.then_some(rows)
        });
        assert!(!rows.contains(unknown) && !rows.contains("forward"), "{rows}");
    }
}

#[test]
fn callers_that_may_not_verify_are_recorded_without_the_token_in_question() {
    let instance = Instance::start();
    let weak = instance.mint(WORKSPACE, &json!({"name": "weak", "scopes": ["rivers:read"]}));
    let question = json!({"token": "tsr_0000000000000000000000000000000000A"});
    let ask = |token: &str, path: &str, body: &Value| {
        instance.server.request("POST", path).bearer(token).json(body).send()
    };
    let introspect = |password: &str| {
        let pair = STANDARD.encode(format!("gateway:{password}"));
        let request = instance.server.request("POST", "/oauth2/introspect");
        let request = request.header("authorization", &format!("Basic {pair}"));
        request.header("content-type", "application/x-www-form-urlencoded").body("token=x").send()
    };
    // A question by a caller that may verify.
    ask(&instance.manager, "/api/v1/verify", &question).expect(200);
    introspect(&instance.manager).expect(200);
    ask(&weak, "/api/v1/verify", &question).expect(403);
    ask(&weak, "/api/v1/verify/batch", &json!({"items": [question]})).expect(403);
    introspect(&weak).expect(403);
    introspect("wrong").expect(401);
    let refused = rows(&instance, "access.refused", 3);
    let routes = ["POST /oauth2/introspect", "POST /api/v1/verify/batch", "POST /api/v1/verify"];
    assert_eq!(subjects(&refused), routes);
    assert_eq!(refused[2]["after"], json!({"status": 403, "code": "insufficient_scope"}));
    let wrong = rows(&instance, "access.credential_refused", 1);
    assert_eq!(subjects(&wrong), ["POST /oauth2/introspect"]);
}

#[test]
fn refusals_within_one_response_leave_one_row() {
    let instance = Instance::start();
    instance.server.run(&["policy", "set", "self_service=true"]).ok();
    let member = instance.person("mia", "member", Some("member"));
    let (mut own, mut ids) = (Vec::new(), Vec::new());
    for number in 0..12 {
        let body = json!({"name": format!("t{number}"), "scopes": ["rivers:read"]});
        let minted = instance.request(&member, "POST", &tokens_of(WORKSPACE)).json(&body).send();
        let id = minted.expect(201).json()["token"]["id"].clone();
        if number > 0 {
            own.push(id.clone());
        }
        ids.push(id);
    }
    let bulk = format!("{}/bulk", tokens_of(WORKSPACE));
    let send = |by: &By, action: &str, ids: &[Value]| {
        let body = json!({"action": action, "ids": ids});
        instance.request(by, "POST", &bulk).json(&body).send().expect(200)
    };
    let owner = By::Session(OWNER.to_owned());
    send(&owner, "disable", &own);
    let answer = send(&member, "enable", &ids).json();
    let refused =
        answer["items"].as_array().unwrap().iter().filter(|item| item["status"] == 403).count();
    assert_eq!(refused, 11);
    let rows_of = |count: usize| rows(&instance, "access.refused", count);
    let row = &rows_of(1)[0];
    assert_eq!(row["subject_name"], "POST /api/v1/workspaces/{ws}/tokens/bulk");
    assert_eq!(
        row["after"],
        json!({
            "status": 403, "code": "forbidden", "workspace": WORKSPACE, "refused": 11, "ids": own[..10],
        })
    );
    // Items that all succeed add no row.
    send(&owner, "enable", &own);
    // The list is empty because its caller may not see it.
    let blind = json!({"name": "blind", "audiences": ["tessera"], "scopes": ["verify"]});
    let blind = instance.mint(WORKSPACE, &blind);
    let list = instance.server.request("GET", "/api/v1/api_tokens/all").header("Token", &blind);
    assert_eq!(list.send().expect(200).json(), json!([]));
    let row = &rows_of(2)[0];
    assert_eq!(row["subject_name"], "GET /api/v1/api_tokens/all");
    assert_eq!(row["after"]["status"], 403);
}

#[test]
fn failed_sign_ins_and_console_forms_are_recorded() {
    let instance = Instance::start();
    let mut browser = Browser::new(&instance.server);
    browser
        .post("/sign-in", &[("email", "<b>eve</b>"), ("password", "hunter2hunter2")])
        .expect(401);
    let failed = rows(&instance, "session.sign_in_failed", 1);
    assert_eq!(
        (&failed[0]["subject_name"], &failed[0]["surface"]),
        (&json!("<b>eve</b>"), &json!("console"))
    );

    instance.person("mia", "member", Some("viewer"));
    let mut viewer = Browser::new(&instance.server).with_cookie("tessera", "session-mia");
    let path = format!("/workspaces/{WORKSPACE}/settings/tokens/new");
    viewer.post(&path, &[("name", "x"), ("scope", "rivers:read")]).expect(403);
    let refused = rows(&instance, "access.refused", 1);
    assert_eq!(refused[0]["actor_name"], "mia");
    assert_eq!(refused[0]["subject_name"], "POST /workspaces/{workspace}/settings/tokens/new");
    // The administrator signs in and sees a description.
    let mut ada = Browser::signed_in(&instance.server, ADMIN_EMAIL, ADMIN_PASSWORD);
    ada.get(&format!("/workspaces/{WORKSPACE}")).expect(200);
    assert!(!instance.server.run(&["audit", "export"]).ok().contains("hunter2"));
}

#[test]
fn console_refusals_leave_the_same_rows_as_api_refusals() {
    let instance = Instance::start();
    let server = &instance.server;
    instance.person("mia", "member", Some("viewer"));
    let mut mia = Browser::new(server).with_cookie("tessera", "session-mia");
    // Missing pages and reads of hidden things add no rows.
    mia.get("/nowhere").expect(404);
    mia.get("/workspaces/other").expect(404);
    mia.get(&format!("/workspaces/{WORKSPACE}")).expect(200);
    mia.get("/instance").expect(404);
    mia.get(&format!("/workspaces/{WORKSPACE}/settings/members")).expect(403);
    let function = |name: &str, body: &str| {
        let request = mia.request("POST", &format!("/console/fn/{name}"));
        let request = request.header("content-type", "application/json").body(body);
        request.header("origin", &server.url()).send().status
    };
    assert_eq!(function("members", &format!(r#"{{"workspace":"{WORKSPACE}"}}"#)), 403);
    assert_eq!(function("instance", "{}"), 404);
    assert_eq!(function("overview", r#"{"workspace":"other"}"#), 404);
    // A post about something hidden, a person who must change the password, and a foreign name.
    let form = [("user", "a@b.example"), ("role", "viewer")];
    mia.post("/workspaces/other/settings/members", &form).expect(404);
    instance.sql("UPDATE users SET must_change_password = true WHERE name = 'mia'");
    mia.get("/workspaces").expect(303);
    mia.post(&format!("/workspaces/{WORKSPACE}/settings/members"), &form).expect(303);
    mia.get("/account/password").expect(200);
    let rebound = server.request("GET", "/sign-in").header("host", "evil.example");
    rebound.header("accept", "text/html").send().expect(400);

    let refused = rows(&instance, "access.refused", 8);
    let members = "/workspaces/{workspace}/settings/members";
    let mut expected = vec![
        ("GET /instance".to_owned(), "forbidden", "mia"),
        (format!("GET {members}"), "forbidden", "mia"),
        ("POST /console/fn/members".to_owned(), "forbidden", "mia"),
        ("POST /console/fn/instance".to_owned(), "forbidden", "mia"),
        (format!("POST {members}"), "not_found", "mia"),
        ("GET /workspaces".to_owned(), "password_change_required", "mia"),
        (format!("POST {members}"), "password_change_required", "mia"),
        ("GET /sign-in".to_owned(), "malformed_request", "nobody"),
    ];
    expected.reverse();
    let found: Vec<_> = refused
        .iter()
        .map(|row| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&row["subject_name"]), text(&row["after"]["code"]), text(&row["actor_name"]))
        })
        .collect();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(subject, code, actor)| (subject, code.to_owned(), actor.to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn invalid_link_leaves_one_row_for_each_page_and_each_form() {
    let instance = Instance::start();
    let mut browser = Browser::new(&instance.server);
    let set_up = [("organisation", "Evil"), ("email", "e@x.example"), ("password", "x")];
    browser.post("/setup/wrong", &set_up).expect(404);
    browser.get("/setup/wrong").expect(404);
    browser.post("/reset-password/wrong", &[("new_password", "x")]).expect(404);
    let links = rows(&instance, "access.credential_refused", 3);
    assert_eq!(subjects(&links), ["password link", "set-up link", "set-up link"]);
}

#[test]
fn invalid_links_count_once_each_and_the_page_says_when_to_try_again() {
    let server = Server::start();
    server.admin();
    let mut browser = Browser::new(&server);
    let form = [("new_password", "x")];
    // 100 attempts are allowed. If a form counted twice, only 50 would be.
    for _ in 0..75 {
        browser.post("/reset-password/wrong", &form).expect(404);
    }
    // The refill lets an attempt pass from time to time.
    let mut until_refused = |send: &mut dyn FnMut(&mut Browser) -> Answer| {
        let refused = (0..500).map(|_| send(&mut browser)).find(|answer| answer.status == 429);
        let refused = refused.expect("attempts are limited");
        let seconds: u64 = refused.header("retry-after").expect("a time").parse().unwrap();
        assert!((1..=6).contains(&seconds), "{seconds}");
    };
    until_refused(&mut |browser| browser.get("/reset-password/wrong"));
    until_refused(&mut |browser| browser.post("/reset-password/wrong", &form));
}

#[test]
fn calls_beyond_the_limit_are_recorded_and_a_stopping_server_loses_no_row() {
    let server = Server::builder().embedded().argument("--api-rate-limit").argument("5").start();
    server.admin();
    let token = server.managing_token(WORKSPACE);
    let call = || server.request("GET", "/api/v1/self").bearer(&token).send();
    let refused = (0..20).map(|_| call()).find(|answer| answer.status == 429);
    refused.expect("calls are limited");
    let data_dir = server.data_dir().to_owned();
    let (_, folder) = server.stop();
    let log = crate::support::Tessera::on(
        &data_dir,
        &["audit", "list", "--action", "access.throttled", "--json"],
    )
    .run()
    .ok();
    assert!(log.contains("GET /api/v1/self") && log.contains("manager"), "{log}");
    drop(folder);
}
