//! Passwords over REST, on the command line, in Kriten's login and with links.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::{io::Write as _, net::TcpStream};

use crate::console_support::{Browser, assert_static, input_value, set_cookies};
use crate::rest_support::{By, Instance, OWNER, Sql, WORKSPACE, draft, fields, problem};
use crate::support::{
    Answer, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
    wait::until,
};
use serde_json::{Value, json};

const NEW: &str = "tr0mbone ladder mist drums";
const GRACE: &str = "grace@example.com";

fn owner(instance: &Instance, method: &str, path: &str) -> crate::support::Request {
    instance.request(&By::Session(OWNER.to_owned()), method, path)
}

fn change(instance: &Instance, by: &By, current: &str, new: &str) -> Answer {
    let body = json!({"current_password": current, "new_password": new});
    instance.request(by, "POST", "/api/v1/account/password").json(&body).send()
}

/// Creates a person with this password, or without one.
#[track_caller]
fn made(instance: &Instance, email: &str, password: Option<&str>) -> Value {
    let mut body = json!({"email": email});
    if let Some(password) = password {
        body["password"] = password.into();
    }
    owner(instance, "POST", "/api/v1/users").json(&body).send().expect(201).json()
}

/// The path of a link, and the secret in it.
fn path_of(server: &Server, url: &str) -> (String, String) {
    let path = url.strip_prefix(&server.url()).expect("a link to this server").to_owned();
    let secret = path.strip_prefix("/reset-password/").expect("a path").to_owned();
    (path, secret)
}

#[test]
fn password_change_needs_the_old_password_and_replaces_the_session_cookie() {
    let instance = Instance::start();
    let server = &instance.server;
    let mut browser = Browser::signed_in(server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let mut elsewhere = Browser::signed_in(server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let own = By::Session(browser.cookie("tessera").unwrap().to_owned());
    let account = instance.request(&own, "GET", "/api/v1/account").send().expect(200).json();
    assert_eq!(
        (&account["email"], &account["must_change_password"], &account["password_is_weak"]),
        (&json!(ADMIN_EMAIL), &json!(false), &json!(false))
    );
    let wrong =
        problem(&change(&instance, &own, "not the password", NEW), 422, "validation_failed");
    assert_eq!(fields(&wrong), ["current_password: is wrong"]);
    let weak = change(&instance, &own, ADMIN_PASSWORD, "password12345678");
    let weak = problem(&weak, 422, "validation_failed");
    assert!(fields(&weak)[0].starts_with("new_password: is too easy to guess"), "{weak}");
    let token = By::Token(instance.manager.clone());
    problem(&change(&instance, &token, ADMIN_PASSWORD, NEW), 403, "forbidden");
    problem(&change(&instance, &By::Nobody, ADMIN_PASSWORD, NEW), 401, "unauthenticated");

    let changed = change(&instance, &own, ADMIN_PASSWORD, NEW).expect(204);
    let cookies = set_cookies(&changed);
    let session = cookies.iter().find_map(|cookie| cookie.strip_prefix("tessera="));
    let session = session.unwrap().split(';').next().unwrap().to_owned();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("tessera-known=")), "{cookies:?}");
    let account = |by: &By| instance.request(by, "GET", "/api/v1/account").send().status;
    assert_eq!(account(&own), 401, "the old cookie");
    assert_eq!(account(&By::Session(session)), 200);
    elsewhere.get("/workspaces").expect(303);
    browser.post("/sign-in", &[("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)]).expect(401);
    Browser::signed_in(server, ADMIN_EMAIL, NEW).get("/workspaces").expect(200);
}

#[test]
fn password_link_lets_the_person_choose_and_is_never_logged() {
    let instance = Instance::start();
    let server = &instance.server;
    let created = made(&instance, GRACE, None);
    let id = created["id"].as_str().unwrap();
    let (first, _) = path_of(server, created["password_link"]["url"].as_str().unwrap());
    assert!(created["password_link"]["expires_at"].is_string());
    let issue = |id: &str| {
        let path = format!("/api/v1/users/{id}/password-reset");
        owner(&instance, "POST", &path).send()
    };
    let issued = issue(id).expect(201);
    assert_eq!(issued.header("cache-control"), Some("no-store"));
    let (path, secret) = path_of(server, issued.json()["url"].as_str().unwrap());
    let me = owner(&instance, "GET", "/api/v1/account").send().expect(200).json();
    problem(&issue(me["id"].as_str().unwrap()), 403, "forbidden");
    let bot = json!({"kind": "service", "email": "bot@example.com"});
    let bot = owner(&instance, "POST", "/api/v1/users").json(&bot).send().expect(201).json();
    assert!(bot.get("password_link").is_none());
    let refused = problem(&issue(bot["id"].as_str().unwrap()), 422, "validation_failed");
    assert_eq!(fields(&refused), ["user: is a service account, which has no password"]);

    let mut browser = Browser::new(server);
    let replaced = browser.get(&first).expect(404);
    assert!(replaced.text().contains("This link doesn't work"), "{}", replaced.text());
    let page = browser.get(&path).expect(200);
    assert!(page.text().contains(GRACE) && page.text().contains("Choose your password"));
    assert_static(&page);
    let refused = browser.post(&path, &[("new_password", "too short")]).expect(422);
    assert!(refused.text().contains("must have at least 15 characters"), "{}", refused.text());
    assert_eq!(input_value(&refused.text(), "new_password"), None);
    let set = browser.post(&path, &[("new_password", NEW)]).expect(303);
    assert_eq!(set.header("location"), Some("/sign-in"));
    assert_eq!(browser.cookie("tessera"), None, "the link does not sign the person in");
    assert!(browser.get("/sign-in").text().contains("Your password was set. Sign in with it."));
    browser.get(&path).expect(404);
    browser.post(&path, &[("new_password", "n7fjqx0vzkw2mhd")]).expect(404);
    let form = [("email", GRACE), ("password", NEW)];
    let location = browser.post("/sign-in", &form).expect(303);
    assert_eq!(location.header("location"), Some("/workspaces"));
    until("the log to have the request", || {
        server.stderr().contains("/reset-password/{secret}").then_some(())
    });
    assert!(!server.stderr().contains(&secret), "{}", server.stderr());
}

/// Sends a request and disconnects once the server waits for a lock. Then the lock is released.
fn hang_up_at_lock(instance: &Instance, lock: &str, request: &str) {
    let mut hold = Sql::on(&instance.server);
    hold.run(&format!("BEGIN; {lock}"));
    let mut stream = TcpStream::connect(instance.server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut seen = Sql::on(&instance.server);
    until("the server to wait", || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        (seen.number(waits) > 0).then_some(())
    });
    drop(stream);
    // Long enough for the server to notice it.
    (0..20).for_each(|_| drop(instance.server.get("/healthz")));
    hold.run("COMMIT");
}

fn raw(instance: &Instance, path: &str, headers: &str, body: &str) -> String {
    let host = instance.server.address();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\norigin: {}\r\nsec-fetch-site: same-origin\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        instance.server.url(),
        body.len(),
    )
}

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn rows(instance: &Instance, action: &str) -> i64 {
    let query = format!("SELECT count(*) FROM audit_events WHERE action = '{action}'");
    Sql::on(&instance.server).number(&query)
}

/// The path of a new link for a person.
#[track_caller]
fn issued(instance: &Instance, person: &Value) -> String {
    let path = format!("/api/v1/users/{}/password-reset", person["id"].as_str().unwrap());
    let issued = owner(instance, "POST", &path).send().expect(201).json();
    path_of(&instance.server, issued["url"].as_str().unwrap()).0
}

/// The administrator who created a link could guess the person's current password.
#[test]
fn wrong_guess_at_the_current_password_uses_up_the_link_even_if_the_client_hangs_up() {
    let instance = Instance::start();
    let server = &instance.server;
    let created = made(&instance, GRACE, Some(ADMIN_PASSWORD));
    let id = created["id"].as_str().unwrap();
    let path = issued(&instance, &created);
    let guess = raw(&instance, &path, FORM, "new_password=tr0mbone+ladder+mist+drums");
    let lock = format!("SELECT FROM users WHERE id = '{id}' FOR UPDATE");
    hang_up_at_lock(&instance, &lock, &guess);
    until("the link to be used up", || {
        (Browser::new(server).get(&path).status == 404).then_some(())
    });
    assert_eq!(rows(&instance, "user.password_reset"), 1);
    Browser::signed_in(server, GRACE, NEW).get("/workspaces").expect(200);
}

#[test]
fn right_guess_at_the_current_password_through_a_link_is_counted_and_recorded() {
    let instance = Instance::start();
    let server = &instance.server;
    let created = made(&instance, GRACE, None);
    let mut browser = Browser::new(server);
    let path = issued(&instance, &created);
    browser.get(&path).expect(200);
    browser.post(&path, &[("new_password", NEW)]).expect(303);
    let path = issued(&instance, &created);
    browser.get(&path).expect(200);
    let mut checked = 0;
    loop {
        let refused = browser.post(&path, &[("new_password", NEW)]);
        if refused.status == 429 {
            break;
        }
        checked += 1;
        assert!(checked < 10, "guesses are not limited");
        assert!(refused.text().contains("must not be your current password"), "{checked}");
        assert_eq!(rows(&instance, "user.password_reset_refused"), checked);
    }
    assert!(checked >= 5, "{checked}");
    // The person's own attempts are not used up.
    Browser::signed_in(server, GRACE, NEW).get("/workspaces").expect(200);
}

/// Without any trace, a missing refusal would show that the password is right.
#[test]
fn right_password_is_recorded_even_if_the_client_hangs_up() {
    let instance = Instance::start();
    let server = &instance.server;
    let created = made(&instance, GRACE, None);
    let (path, _) = path_of(server, created["password_link"]["url"].as_str().unwrap());
    let mut browser = Browser::new(server);
    browser.get(&path).expect(200);
    browser.post(&path, &[("new_password", NEW)]).expect(303);
    let lock = format!("SELECT FROM users WHERE email = '{GRACE}' FOR UPDATE");
    let before = rows(&instance, "session.sign_in");
    let form = "email=grace%40example.com&password=tr0mbone+ladder+mist+drums";
    hang_up_at_lock(&instance, &lock, &raw(&instance, "/sign-in", FORM, form));
    until("the sign-in", || (rows(&instance, "session.sign_in") > before).then_some(()));
    let browser = Browser::signed_in(server, GRACE, NEW);
    let cookie = browser.cookie("tessera").unwrap();
    let headers = format!("content-type: application/json\r\ncookie: tessera={cookie}\r\n");
    let body = json!({"current_password": NEW, "new_password": "another ladder mist drums"});
    let request = raw(&instance, "/api/v1/account/password", &headers, &body.to_string());
    hang_up_at_lock(&instance, &lock, &request);
    until("the change", || (rows(&instance, "user.password_change") == 1).then_some(()));
    Browser::signed_in(server, GRACE, "another ladder mist drums").get("/workspaces").expect(200);
}

#[test]
fn password_chosen_by_an_administrator_must_be_changed_first() {
    let instance = Instance::start();
    let server = &instance.server;
    let created = made(&instance, GRACE, Some(ADMIN_PASSWORD));
    assert!(created.get("password_link").is_none());
    let body = json!({"user": GRACE, "role": "admin"});
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    owner(&instance, "POST", &members).json(&body).send().expect(201);
    let mut browser = Browser::new(server);
    let form = [("email", GRACE), ("password", ADMIN_PASSWORD), ("next", "/instance")];
    let signed_in = browser.post("/sign-in", &form).expect(303);
    assert_eq!(signed_in.header("location"), Some("/account/password"));
    let tokens = format!("/workspaces/{WORKSPACE}/settings/tokens");
    for page in ["/workspaces", &tokens, "/instance"] {
        assert_eq!(browser.get(page).expect(303).header("location"), Some("/account/password"));
    }
    // Complete or not: a refused form would be shown on a page that is closed to them.
    let token = format!("{tokens}/01980000-0000-7000-8000-000000000001");
    let members = format!("/workspaces/{WORKSPACE}/settings/members");
    for form in [
        format!("{token}/enable"),
        format!("{token}/edit"),
        format!("{token}/rotate"),
        format!("{tokens}/new"),
        format!("{members}/01980000-0000-7000-8000-000000000001/revoke"),
        members,
    ] {
        for fields in [&[][..], &[("expires", "x"), ("grace", "x"), ("role", "x")]] {
            let posted = browser.post(&form, fields).expect(303);
            assert_eq!(posted.header("location"), Some("/account/password"), "{form}");
        }
    }
    let page = browser.get("/account/password").expect(200);
    assert_static(&page);
    assert!(page.text().contains("An administrator chose your password."), "{}", page.text());

    let own = By::Session(browser.cookie("tessera").unwrap().to_owned());
    let list = |by: &By| instance.request(by, "GET", "/api/v1/workspaces").send();
    problem(&list(&own), 403, "password_change_required");
    let mint = instance.request(&own, "POST", &crate::rest_support::tokens_of(WORKSPACE));
    problem(&mint.json(&draft("t")).send(), 403, "password_change_required");
    let read = browser.post("/console/fn/frame", &[]);
    assert_ne!(read.status, 500);
    let login = json!({"username": GRACE, "password": ADMIN_PASSWORD, "provider": "local"});
    let refused = server.request("POST", "/api/v1/login").json(&login).send().expect(403).json();
    let said = refused["error"].as_str().unwrap();
    assert!(said.contains(&format!("{}/sign-in", server.url())), "{said}");

    let form = [("current_password", "wrong"), ("new_password", NEW)];
    let wrong = browser.post("/account/password", &form).expect(422);
    assert!(wrong.text().contains("Current password is wrong"), "{}", wrong.text());
    assert!(!wrong.text().contains(NEW), "no response contains the password");
    let form = [("current_password", ADMIN_PASSWORD), ("new_password", NEW)];
    let changed = browser.post("/account/password", &form).expect(303);
    assert_eq!(changed.header("location"), Some("/workspaces"));
    let next = browser.get("/workspaces").expect(200).text();
    assert!(next.contains("Your password was changed."), "{next}");
    list(&By::Session(browser.cookie("tessera").unwrap().to_owned())).expect(200);
    let login = json!({"username": GRACE, "password": NEW, "provider": "local"});
    server.request("POST", "/api/v1/login").json(&login).send().expect(200);
}

#[test]
fn command_line_prints_only_links() {
    let server = Server::start();
    server.admin();
    // Links contain the public address, so a command must have the same setting as the server.
    let run =
        |arguments: &[&str]| server.cli(arguments).env("TESSERA_PUBLIC_URL", &server.url()).run();
    let link = run(&["user", "create", "--email", GRACE, "--link"]).ok();
    let (path, _) = path_of(&server, link.trim());
    let mut browser = Browser::new(&server);
    browser.post(&path, &[("new_password", NEW)]).expect(303);
    Browser::signed_in(&server, GRACE, NEW).get("/workspaces").expect(200);
    let printed = run(&["user", "reset-password", GRACE]);
    assert!(printed.stderr.contains("grace <grace@example.com>"), "{}", printed.stderr);
    let (path, _) = path_of(&server, printed.ok().trim());
    browser.get(&path).expect(200);
    let json = run(&["user", "reset-password", ADMIN_EMAIL, "--json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    path_of(&server, json["url"].as_str().unwrap());
    browser.get(&path).expect(200);
    server.run(&["user", "create", "--email", "bot@example.com", "--service"]).ok();
    let refused = server.run(&["user", "reset-password", "bot@example.com"]).refused(1);
    assert!(refused.contains("service account"), "{refused}");
    let given = server
        .cli(&["user", "create", "--email", "eve@example.com"])
        .input("violet kettle drums outside")
        .run();
    assert!(given.stderr.contains("must change the password"), "{}", given.stderr);
    given.ok();
}
