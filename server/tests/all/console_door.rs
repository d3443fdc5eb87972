//! Rules for every page and every form of the console.

use crate::console_support::{Browser, TOKENS, assert_static, set_cookies};
use crate::rest_support::{By, Instance};
use crate::support::{
    Answer, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
};

const FORMS: [&str; 5] = [
    "/sign-in",
    "/sign-out",
    "/theme",
    "/workspaces/workspace-1/settings/tokens/new",
    "/workspaces/workspace-1/settings/tokens/0193a5b0-0000-7000-8000-000000000000/delete",
];

fn nonce(answer: &Answer) -> String {
    let policy = answer.header("content-security-policy").unwrap_or_default();
    let after = policy.split("'nonce-").nth(1).unwrap_or_default();
    let nonce = after.split('\'').next().unwrap_or_default();
    assert!(nonce.len() > 20, "no nonce in {policy:?}");
    nonce.to_owned()
}

#[test]
fn every_page_has_a_strict_policy_with_its_own_nonce() {
    let server = Server::start();
    server.admin();
    let mut browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let mut nonces = Vec::new();
    for path in [
        "/workspaces",
        "/workspaces/workspace-1",
        "/workspaces/workspace-1/settings",
        TOKENS,
        "/workspaces/workspace-1/settings/tokens/new",
        "/nowhere",
    ] {
        let answer = browser.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        for directive in [
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let nonce = nonce(&answer);
        let page = answer.text();
        for script in page.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "{path}: {tag}");
        }
        assert!(!page.contains(" style=\"") && !page.contains("<style"), "{path}");
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\""), "{path}");
        assert_eq!(page.matches("<h1").count(), 1 + usize::from(path.ends_with("/new")), "{path}");
        nonces.push(nonce);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 6, "every response has its own nonce");
}

#[test]
fn form_of_another_site_is_refused() {
    let server = Server::start();
    server.admin();
    let mut browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD).asking_for_json();
    let form =
        [("theme", "dark"), ("name", "x"), ("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    for path in FORMS {
        for headers in [
            &[][..],
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")][..],
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")][..],
        ] {
            let request = headers
                .iter()
                .fold(browser.request("POST", path).form(&form), |request, (name, value)| {
                    request.header(name, value)
                });
            let answer = browser.send(request).expect(403);
            assert_eq!(answer.json()["code"], "cross_origin", "{path}");
            assert!(set_cookies(&answer).is_empty(), "{path}");
        }
    }
    // Without scripts, a page shows the error.
    let page = Browser::new(&server).request("POST", "/sign-in").form(&form).send().expect(403);
    assert!(page.text().starts_with("<!doctype html>"), "{}", page.text());
    browser.get("/workspaces").expect(200);
}

#[test]
fn reading_changes_nothing() {
    let server = Server::start();
    server.admin();
    let mut browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD);
    for path in ["/sign-out", "/theme", "/sign-out?x=1"] {
        let answer = browser.get(path).expect(405);
        assert_eq!(answer.header("allow"), Some("POST"), "{path}");
    }
    for function in [
        "frame",
        "workspaces",
        "overview",
        "settings",
        "tokens/list",
        "tokens/form",
        "tokens/show",
        "notice",
        "setup/open",
    ] {
        browser.get(&format!("/console/fn/{function}")).expect(405);
    }
    browser.get("/workspaces").expect(200);
}

#[test]
fn server_function_needs_a_session_and_a_page_of_this_server() {
    let server = Server::start();
    server.admin();
    let browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD).asking_for_json();
    let call = |browser: &Browser, name: &str, body: &str| {
        browser
            .request("POST", &format!("/console/fn/{name}"))
            .header("content-type", "application/json")
            .body(body)
    };
    let origin = server.url();
    let answer = call(&browser, "workspaces", "{}").header("origin", &origin).send().expect(200);
    assert_eq!(answer.json()["workspaces"][0]["workspace"]["slug"], "workspace-1");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    call(&browser, "workspaces", "{}").send().expect(403);
    let foreign = call(&browser, "workspaces", "{}").header("origin", "https://evil.example");
    foreign.send().expect(403);

    let nobody = Browser::new(&server).asking_for_json();
    for (name, body) in [
        ("workspaces", "{}"),
        ("overview", r#"{"workspace":"workspace-1"}"#),
        ("settings", r#"{"workspace":"workspace-1"}"#),
        ("tokens/form", r#"{"workspace":"workspace-1"}"#),
        ("frame", "{}"),
    ] {
        let answer = call(&nobody, name, body).header("origin", &origin).send();
        assert_eq!(answer.json()["code"], "unauthenticated", "{name}");
    }
    for (name, body, status) in [
        ("overview", r#"{"workspace":"nope"}"#, 404),
        ("overview", r#"{"workspace":"NOT A SLUG"}"#, 404),
        ("overview", "{}", 400),
        ("overview", "not json", 400),
        ("nothing", "{}", 404),
    ] {
        let answer = call(&browser, name, body).header("origin", &origin).send();
        assert_eq!(answer.status, status, "{name} {body}: {}", answer.text());
        assert_eq!(answer.json()["status"], status, "{name}");
    }
}

#[test]
fn body_that_is_not_a_form_or_is_too_large_is_refused() {
    let server = Server::start();
    server.admin();
    let mut browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let path = "/workspaces/workspace-1/settings/tokens/new";
    let post =
        |browser: &Browser| browser.request("POST", path).header("sec-fetch-site", "same-origin");
    for content_type in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
        let request = post(&browser).header("content-type", content_type).body("{}");
        browser.send(request).expect(415);
    }
    let large = "x".repeat(70_000);
    let answer = browser.post(path, &[("name", &large)]);
    assert_eq!(answer.status, 413);
}

#[test]
fn other_workspaces_are_not_found_and_members_do_not_reach_tokens() {
    let instance = Instance::start();
    let By::Session(secret) = instance.person("mia", "member", Some("member")) else {
        unreachable!()
    };
    let mut member = Browser::new(&instance.server).with_cookie("tessera", &secret);
    let page = member.get("/workspaces").expect(200).text();
    assert!(page.contains("Workspace 1") && !page.contains("/workspaces/other"), "{page}");
    let overview = member.get("/workspaces/workspace-1").expect(200).text();
    assert!(overview.contains("Administrators of this workspace manage its API tokens"));
    assert!(!overview.contains("manager"), "no token's name is shown: {overview}");
    member.get("/workspaces/workspace-1/settings").expect(200);
    for path in [TOKENS, "/workspaces/workspace-1/settings/tokens/new"] {
        let page = member.get(path).expect(403).text();
        assert!(page.contains("Only administrators manage API tokens"), "{page}");
        assert!(!page.contains("tsr_…"), "{page}");
    }
    member.post(&format!("{TOKENS}/new"), &[("name", "x"), ("scope", "rivers:run")]).expect(403);
    for path in [
        "/workspaces/other",
        "/workspaces/other/settings",
        "/workspaces/other/settings/tokens",
        "/workspaces/other/settings/tokens/new",
        "/workspaces/nope",
        "/workspaces/Not%20A%20Slug",
        "/workspaces/%3Cscript%3E",
        "/workspaces/workspace-1/nothing",
        "/nothing",
    ] {
        let answer = member.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("Page not found"), "{path}");
    }
}

#[test]
fn unknown_page_is_404_even_without_a_session() {
    let server = Server::start();
    server.admin();
    let mut browser = Browser::new(&server);
    let answer = browser.get("/nothing").expect(404);
    assert!(answer.text().contains("Page not found"));
    let mut script = Browser::new(&server).asking_for_json();
    assert_eq!(script.get("/nothing").expect(404).json()["code"], "not_found");
    browser.post("/workspaces", &[]).expect(405);
    let refused = browser.post("/theme", &[("theme", "x")]).expect(422);
    assert_static(&refused);
}
