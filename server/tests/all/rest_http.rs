//! Rules for every response: headers, IDs, methods, unknown paths, the log.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::console_support::Browser;
use crate::rest_support::{Instance, WORKSPACE, draft, problem, tokens_of};
use crate::support::{
    Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
};

#[test]
fn unknown_paths_of_the_api_are_problems() {
    let instance = Instance::start();
    for path in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/tokens",
        "/api/v1/tokens",
        "/api/v1/self/",
        "/api/%00",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            problem(&instance.managing(method, path).send(), 404, "not_found");
        }
    }
}

#[test]
fn unknown_methods_are_refused_with_the_known_ones() {
    let server = Server::start();
    for (method, path, allow) in [
        ("PUT", tokens_of(WORKSPACE), "GET,HEAD,POST"),
        ("POST", "/api/v1/self".to_owned(), "GET,HEAD,DELETE"),
        ("OPTIONS", "/api/v1/self".to_owned(), "GET,HEAD,DELETE"),
        ("PUT", "/api/v1/tokens/x".to_owned(), "GET,HEAD,PATCH,DELETE"),
        ("GET", "/api/v1/verify".to_owned(), "POST"),
        ("DELETE", "/api/openapi.json".to_owned(), "GET,HEAD"),
        ("POST", "/healthz".to_owned(), "GET,HEAD"),
    ] {
        let answer = server.request(method, &path).send();
        problem(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn head_is_get_without_a_body() {
    let instance = Instance::start();
    let head = instance.managing("HEAD", "/api/v1/self").send().expect(200);
    let get = instance.managing("GET", "/api/v1/self").send().expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-type"), get.header("content-type"));
    // A document that no use of a token changes.
    let head = instance.managing("HEAD", "/api/openapi.json").send().expect(200);
    let get = instance.managing("GET", "/api/openapi.json").send().expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), get.header("content-length"));
    let refused = instance.server.request("HEAD", "/api/v1/self").send();
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
}

#[test]
fn every_api_response_has_security_headers_and_an_id() {
    let instance = Instance::start();
    let mut ids = Vec::new();
    for path in [
        "/api/v1/self",
        "/api/v1/tokens/x",
        "/api/nowhere",
        "/api/openapi.json",
        "/healthz",
        "/readyz",
    ] {
        let answer = instance.managing("GET", path).header("x-request-id", "mine").send();
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
        assert!(answer.header("referrer-policy").is_some(), "{path}");
        assert!(answer.header("permissions-policy").is_some(), "{path}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
        if path != "/api/openapi.json" {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        }
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(id.len(), 36, "{path}: {id}");
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn hsts_is_sent_if_the_public_url_is_https() {
    let server = Server::builder().env("TESSERA_PUBLIC_URL", "https://tessera.example").start();
    let answer = server.get("/healthz");
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
    // The plain cookie is ignored there.
    let answer = server.request("GET", "/api/v1/self").header("cookie", "tessera=x").send();
    problem(&answer, 401, "unauthenticated");
}

#[test]
fn log_contains_the_route_and_never_a_secret() {
    let instance = Instance::start();
    let created = instance.create(&draft("logged")).expect(201);
    let secret = created.json()["secret"].as_str().unwrap().to_owned();
    let id = created.header("x-request-id").unwrap().to_owned();
    let query = format!("{}?q={secret}", tokens_of(WORKSPACE));
    instance.managing("GET", &query).send().expect(200);
    instance.server.get("/setup/mysetupsecret");
    instance.server.request("GET", "/api/v1/self").bearer(&secret).send().expect(200);
    let log = crate::support::wait::until("the requests to be logged", || {
        let log = instance.server.stderr();
        log.contains("/api/v1/self").then_some(log)
    });
    assert!(log.contains(&id), "{log}");
    assert!(log.contains("/api/v1/workspaces/{ws}/tokens"), "{log}");
    for hidden in [&*secret, &instance.manager, "mysetupsecret", crate::rest_support::OWNER] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
}

#[test]
fn documentation_is_served_under_a_strict_policy() {
    let server = Server::start();
    let page = server.get("/api/docs").expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"));
    let html = page.text();
    for attribute in ["src=\"", "href=\""] {
        for link in html.split(attribute).skip(1) {
            let link = link.split('"').next().unwrap();
            assert!(link.starts_with('/') || link.starts_with('#'), "{link} leads elsewhere");
            if link.starts_with("/api/") {
                server.get(link).expect(200);
            }
        }
    }
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
        assert!(!html.contains(inline), "{inline}");
    }
    let script = server.get("/api/docs/docs.js").expect(200);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    for forbidden in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "localStorage", "sessionStorage", "eval("]
    {
        assert!(!script.text().contains(forbidden), "{forbidden}");
    }
}

#[test]
fn health_and_readiness_are_reported() {
    let server = Server::start();
    assert_eq!(server.get("/healthz").expect(200).json()["status"], "ok");
    assert_eq!(server.get("/readyz").expect(200).json()["status"], "ready");
}

#[test]
fn console_posts_and_api_calls_count_together() {
    let server =
        crate::support::Server::builder().argument("--api-rate-limit").argument("3").start();
    server.admin();
    let mut browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let origin = server.url();
    let function = |browser: &Browser| {
        let request = browser.request("POST", "/console/fn/workspaces").body("{}");
        request.header("content-type", "application/json").header("origin", &origin).send()
    };
    let own = |browser: &Browser| {
        server
            .request("GET", "/api/v1/account")
            .header("cookie", &format!("tessera={}", browser.cookie("tessera").unwrap()))
            .send()
    };
    browser.get("/workspaces").expect(200);
    browser.post("/theme", &[("theme", "dark")]).expect(303);
    function(&browser).expect(200);
    let last = own(&browser).expect(200);
    assert!(last.header("ratelimit").unwrap().starts_with("\"caller\";r=0;t="), "{last:?}");
    let page = browser.post("/theme", &[("theme", "light")]).expect(429);
    assert!(
        page.text().contains("You have reached the limit of 3 calls per minute."),
        "{}",
        page.text()
    );
    for refused in [page, function(&browser), own(&browser)] {
        assert_eq!(refused.status, 429);
        assert!(refused.header("retry-after").is_some());
    }
    // Reading still works, and other people are not affected.
    browser.get("/workspaces").expect(200);
    let nobody = [("email", "nobody@example.com"), ("password", "x")];
    Browser::new(&server).post("/sign-in", &nobody).expect(401);
}

#[test]
fn caller_gets_the_remaining_quota_and_is_refused_beyond_it() {
    let server =
        crate::support::Server::builder().argument("--api-rate-limit").argument("2").start();
    let instance = Instance::of(server);
    let ask = |path: &str| instance.managing("GET", path).send();
    for left in ["1", "0"] {
        let answer = ask("/api/v1/self").expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"caller\";q=2;w=60"));
        let header = answer.header("ratelimit").unwrap().to_owned();
        assert!(header.starts_with(&format!("\"caller\";r={left};t=")), "{header}");
    }
    let refused = ask("/api/v1/self");
    problem(&refused, 429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    // Verifications, which services send for each of their requests, do not count.
    let verify = || {
        let question = serde_json::json!({"token": instance.manager});
        instance.managing("POST", "/api/v1/verify").json(&question).send().status
    };
    assert_eq!([verify(), verify(), verify()], [200; 3]);
}
