//! `/auth/forward`, with gateways' requests.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, draft, problem};
use crate::support::{Answer, Server};
use serde_json::json;

const QUERY: &str = "/auth/forward?audience=default&scope=rivers:run";

fn ask(instance: &Instance, token: &str, path: &str) -> Answer {
    instance.server.request("GET", path).bearer(token).send()
}

#[test]
fn valid_token_passes_and_its_owner_is_reported() {
    let instance = Instance::start();
    let body = json!({"name": "שלום", "scopes": ["rivers:run", "rivers:write"]});
    let minted = instance.minted(WORKSPACE, &body);
    let token = minted["secret"].as_str().unwrap();
    let answer = ask(&instance, token, QUERY).expect(200);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-tessera-code"), Some("VALID"));
    assert_eq!(answer.header("x-tessera-token-id"), minted["token"]["id"].as_str());
    assert_eq!(answer.header("x-tessera-workspace"), Some(WORKSPACE));
    assert_eq!(answer.header("x-tessera-user"), Some("ada@example.com"));
    assert_eq!(answer.header("x-tessera-user-id"), minted["token"]["user"]["id"].as_str());
    let mut scopes: Vec<&str> = answer.header("x-tessera-scopes").unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["rivers:read", "rivers:run", "rivers:write"]);
    // Headers for this host's browsers are not for those of the gateway.
    for name in ["strict-transport-security", "content-security-policy", "set-cookie"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn every_method_gets_the_same_response_and_no_body_is_read() {
    let instance = Instance::start();
    let token = instance.mint(WORKSPACE, &draft("any"));
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = instance.server.request(method, QUERY).bearer(&token).send();
        assert_eq!((method, answer.status), (method, 200));
        let answer = instance.server.request(method, QUERY).send();
        assert_eq!((method, answer.status), (method, 401));
    }
    let answer =
        instance.server.request("POST", QUERY).bearer(&token).body(vec![b'x'; 100_000]).send();
    answer.expect(200);
}

#[test]
fn refusals_are_401_or_403_with_a_challenge() {
    let instance = Instance::start();
    let token = instance.mint(WORKSPACE, &draft("subject"));
    let mut bound = draft("bound");
    bound["ip_allow"] = json!(["203.0.113.0/24"]);
    let bound = instance.mint(WORKSPACE, &bound);
    let minted = instance.minted(WORKSPACE, &draft("deleted"));
    let path = format!("/api/v1/tokens/{}", minted["token"]["id"].as_str().unwrap());
    instance.managing("DELETE", &path).send().expect(204);
    let deleted = minted["secret"].as_str().unwrap();
    let unknown = domain::token_text::compose("tsr", "000000000000000000000000000000");
    let other = format!("{QUERY}&workspace={OTHER}");
    let invalid = "Bearer realm=\"tessera\", error=\"invalid_token\"";
    for (token, path, status, code, challenge) in [
        ("XYZ", QUERY, 401, "MALFORMED", Some(invalid)),
        (&*unknown, QUERY, 401, "NOT_FOUND", Some(invalid)),
        (deleted, QUERY, 401, "REVOKED", Some(invalid)),
        (&*token, "/auth/forward?audience=tessera", 401, "AUDIENCE_MISMATCH", Some(invalid)),
        (&*token, &*other, 401, "NOT_FOUND", Some(invalid)),
        (&*bound, QUERY, 403, "IP_DENIED", None),
        (
            &*token,
            "/auth/forward?audience=default&scope=rivers:run%20rivers:read&scope=teams:read",
            403,
            "INSUFFICIENT_SCOPE",
            Some(
                "Bearer realm=\"tessera\", error=\"insufficient_scope\", scope=\"rivers:run rivers:read teams:read\"",
            ),
        ),
    ] {
        let answer = ask(&instance, token, path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("x-tessera-code"), Some(code));
        assert_eq!(answer.header("www-authenticate"), challenge, "{code}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("x-tessera-user"), None);
        assert!(!answer.text().contains(token));
    }
}

#[test]
fn missing_or_malformed_credential_is_401() {
    let instance = Instance::start();
    let token = instance.mint(WORKSPACE, &draft("subject"));
    problem(&instance.server.get(QUERY), 401, "unauthenticated");
    let two =
        instance.server.request("GET", QUERY).bearer(&token).header("token", &instance.manager);
    problem(&two.send(), 401, "invalid_token");
    let unreadable = instance.server.request("GET", QUERY).header("authorization", "Bearer a b");
    problem(&unreadable.send(), 401, "invalid_token");
    // A session belongs to a person; gateways need tokens.
    let session = instance.request(&By::Session(OWNER.to_owned()), "GET", QUERY).send();
    problem(&session, 401, "unauthenticated");
}

#[test]
fn invalid_query_accepts_no_token() {
    let instance = Instance::start();
    let token = instance.mint(WORKSPACE, &draft("subject"));
    for query in [
        "scope=",
        "audience=",
        "scopes=rivers:run",
        "audience=A",
        "scope=*",
        "audience=default&audience=x",
        "x=1",
        &format!("scope={}", vec!["rivers:run"; 65].join("+")),
    ] {
        let answer = ask(&instance, &token, &format!("/auth/forward?{query}"));
        problem(&answer, 400, "malformed_request");
    }
}

#[test]
fn address_comes_from_a_trusted_gateway_only() {
    let body = |instance: &Instance| {
        let mut body = draft("bound");
        body["ip_allow"] = json!(["203.0.113.0/24"]);
        instance.mint(WORKSPACE, &body)
    };
    let trusting = Server::builder().env("TESSERA_TRUSTED_PROXIES", "127.0.0.0/8").start();
    let trusting = Instance::of(trusting);
    let token = body(&trusting);
    let ask = |instance: &Instance, token: &str, forwarded: &str| {
        instance
            .server
            .request("GET", QUERY)
            .bearer(token)
            .header("x-forwarded-for", forwarded)
            .send()
            .status
    };
    assert_eq!(ask(&trusting, &token, "203.0.113.9"), 200);
    assert_eq!(ask(&trusting, &token, "203.0.113.9, 192.0.2.1"), 403);
    assert_eq!(ask(&trusting, &token, "192.0.2.1, 203.0.113.9"), 200);
    assert_eq!(ask(&trusting, &token, "203.0.113.9, unknown"), 403);
    drop(trusting);
    let plain = Instance::start();
    let token = body(&plain);
    assert_eq!(ask(&plain, &token, "203.0.113.9"), 403);
}

#[test]
fn token_beyond_its_limit_is_429_or_403_with_the_time_to_wait() {
    let instance = Instance::start();
    let mut body = draft("limited");
    body["rate_limit"] = json!({"limit": 2, "window_s": 86_400});
    let token = instance.mint(WORKSPACE, &body);
    for left in ["\"token\";r=1;t=43200", "\"token\";r=0;t=86400"] {
        // A refusal does not count.
        let refused = ask(&instance, &token, "/auth/forward?scope=teams:read").expect(403);
        assert_eq!(refused.header("ratelimit"), None);
        let answer = ask(&instance, &token, QUERY).expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"token\";q=2;w=86400"));
        let header = answer.header("ratelimit").unwrap();
        assert_eq!(&header[..12], &left[..12], "{header}");
    }
    for (query, status) in [("", 429), ("&rate_limited=429", 429), ("&rate_limited=403", 403)] {
        let answer = ask(&instance, &token, &format!("{QUERY}{query}"));
        let problem = problem(&answer, status, "rate_limited");
        assert_eq!(answer.header("x-tessera-code"), Some("RATE_LIMITED"));
        assert_eq!(answer.header("www-authenticate"), None);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"token\";q=2;w=86400"));
        let wait = answer.header("retry-after").unwrap();
        assert_eq!(problem["retry_after_s"].to_string(), wait);
        assert_eq!(answer.header("ratelimit"), Some(&*format!("\"token\";r=0;t={wait}")));
    }
    // Any other fault is reported first, with its own status.
    let other = ask(&instance, &token, "/auth/forward?audience=tessera&rate_limited=403");
    assert_eq!(other.header("x-tessera-code"), Some("AUDIENCE_MISMATCH"));
    assert_eq!(other.status, 401);
    let unlimited = instance.mint(WORKSPACE, &draft("unlimited"));
    assert_eq!(ask(&instance, &unlimited, QUERY).expect(200).header("ratelimit-policy"), None);
    let wrong = ask(&instance, &token, &format!("{QUERY}&rate_limited=200"));
    problem(&wrong, 400, "malformed_request");
}
