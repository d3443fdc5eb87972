//! The caller of a request: tokens in three headers, the console's session, and no credential.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OWNER, WORKSPACE, draft, problem, tokens_of};
use crate::support::Answer;
use serde_json::json;

#[track_caller]
fn challenge(answer: &Answer) -> String {
    let value = answer.header("www-authenticate").expect("a challenge");
    assert!(value.starts_with("Bearer realm=\"tessera\""), "{value}");
    value.trim_start_matches("Bearer realm=\"tessera\"").trim_start_matches(", ").to_owned()
}

#[test]
fn token_is_accepted_in_every_header() {
    let instance = Instance::start();
    let token = &instance.manager;
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("bearer  {token}")),
        ("token", token.clone()),
        ("rime-api-key", token.clone()),
    ] {
        instance.server.request("GET", "/api/v1/self").header(name, &value).send().expect(200);
    }
    let both = instance.managing("GET", "/api/v1/self").header("token", token).send();
    both.expect(200);
}

#[test]
fn two_different_tokens_are_refused() {
    let instance = Instance::start();
    let other = instance.mint(WORKSPACE, &draft("other"));
    for name in ["token", "rime-api-key", "authorization"] {
        let value = if name == "authorization" { format!("Bearer {other}") } else { other.clone() };
        let answer = instance.managing("GET", "/api/v1/self").header(name, &value).send();
        problem(&answer, 400, "multiple_credentials");
        assert_eq!(challenge(&answer), "error=\"invalid_request\"");
        assert!(!answer.text().contains(&other));
    }
}

#[test]
fn request_without_a_credential_gets_a_challenge() {
    let instance = Instance::start();
    let request = || instance.server.request("GET", "/api/v1/self");
    for answer in [
        request().send(),
        request().header("authorization", "Basic YWRhOngK").send(),
        request().header("cookie", "tessera=nothing").send(),
        request().header("cookie", "theme=dark").send(),
    ] {
        problem(&answer, 401, "unauthenticated");
        assert_eq!(challenge(&answer), "");
    }
}

#[test]
fn unreadable_credential_is_malformed() {
    let instance = Instance::start();
    for (name, value) in [
        ("authorization", "Bearer"),
        ("authorization", "Bearer a b"),
        ("token", "a b"),
        ("token", ""),
    ] {
        let answer = instance.server.request("GET", "/api/v1/self").header(name, value).send();
        problem(&answer, 400, "malformed_request");
        assert_eq!(challenge(&answer), "error=\"invalid_request\"");
    }
}

#[test]
fn malformed_mistyped_and_unknown_tokens_are_invalid() {
    let instance = Instance::start();
    let mut mistyped = instance.manager.clone();
    let last = if mistyped.pop() == Some('a') { 'b' } else { 'a' };
    mistyped.push(last);
    // The right form and checksum, but no such token.
    let unknown = domain::token_text::compose("tsr", "000000000000000000000000000000");
    let long = "x".repeat(5_000);
    for token in ["XYZ", "tsr_", &mistyped, &unknown, &instance.manager.to_uppercase(), &long] {
        let answer = instance.server.request("GET", "/api/v1/self").bearer(token).send();
        problem(&answer, 401, "invalid_token");
        assert_eq!(challenge(&answer), "error=\"invalid_token\"");
        assert!(!answer.text().contains(token));
    }
}

#[test]
fn missing_scope_is_named_in_the_challenge() {
    let instance = Instance::start();
    let body = json!({"name": "reader", "audiences": ["tessera"], "scopes": ["tokens:read"]});
    let reader = By::Token(instance.mint(WORKSPACE, &body));
    let answer = instance.request(&reader, "POST", &tokens_of(WORKSPACE)).json(&draft("x")).send();
    problem(&answer, 403, "insufficient_scope");
    assert_eq!(challenge(&answer), "error=\"insufficient_scope\", scope=\"tokens:write\"");
}

#[test]
fn token_bound_to_addresses_is_refused_from_other_addresses() {
    let instance = Instance::start();
    let mut body = draft("bound");
    body["ip_allow"] = json!(["203.0.113.0/24"]);
    let bound = By::Token(instance.mint(WORKSPACE, &body));
    let answer = instance.request(&bound, "GET", "/api/v1/self").send();
    problem(&answer, 403, "forbidden");
    body["ip_allow"] = json!(["127.0.0.1"]);
    let local = By::Token(instance.mint(WORKSPACE, &body));
    instance.request(&local, "GET", "/api/v1/self").send().expect(200);
}

#[test]
fn session_of_the_console_may_call_the_api_from_its_own_page() {
    let instance = Instance::start();
    let path = tokens_of(WORKSPACE);
    let cookie = format!("tessera={OWNER}");
    let with = |method: &str| instance.server.request(method, &path).header("cookie", &cookie);
    with("GET").send().expect(200);
    for (headers, status) in [
        (&[("origin", &*instance.server.url())][..], 201),
        (&[("sec-fetch-site", "same-origin")][..], 201),
        (&[("sec-fetch-site", "none")][..], 201),
        (&[][..], 403),
        (&[("origin", "null")][..], 403),
        (&[("origin", "https://evil.example")][..], 403),
        (&[("sec-fetch-site", "cross-site"), ("origin", &*instance.server.url())][..], 403),
        (&[("sec-fetch-site", "same-site")][..], 403),
    ] {
        let request =
            headers.iter().fold(with("POST"), |request, (name, value)| request.header(name, value));
        let answer = request.json(&draft("by session")).send();
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
        if status == 403 {
            problem(&answer, 403, "cross_origin");
        }
    }
    // A token needs no origin, and takes precedence over the session.
    let answer =
        instance.managing("GET", "/api/v1/self").header("cookie", &cookie).send().expect(200);
    assert_eq!(answer.json()["name"], "manager");
}

#[test]
fn ended_session_is_unauthenticated() {
    let instance = Instance::start();
    instance.sql("UPDATE sessions SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'");
    let answer =
        instance.request(&By::Session(OWNER.to_owned()), "GET", "/api/v1/workspaces").send();
    problem(&answer, 401, "unauthenticated");
}
