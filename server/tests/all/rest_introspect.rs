//! `POST /oauth2/introspect` (RFC 7662).
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, draft};
use crate::support::{Answer, Request};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const PATH: &str = "/oauth2/introspect";
const INACTIVE: &str = "{\"active\":false}";

fn ask(instance: &Instance, token: &str) -> Answer {
    instance.managing("POST", PATH).form(&[("token", token)]).send()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Fails unless the response is an error of RFC 6749 section 5.2.
#[track_caller]
fn error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["error"], code, "{body}");
    assert!(body["error_description"].as_str().is_some_and(|text| text.ends_with('.')), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
}

#[test]
fn active_token_is_described_in_the_terms_of_the_rfc() {
    let instance = Instance::start();
    let body =
        json!({"name": "ci", "scopes": ["rivers:write"], "expires_at": "2099-01-01T00:00:00Z"});
    let minted = instance.minted(WORKSPACE, &body);
    let answer = ask(&instance, text(&minted["secret"])).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let answer = answer.json();
    let mut scopes: Vec<&str> = text(&answer["scope"]).split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["rivers:read", "rivers:write"]);
    assert!(answer["iat"].is_i64());
    assert_eq!(
        answer,
        json!({
            "active": true, "scope": answer["scope"], "client_id": minted["token"]["id"],
            "username": "ada@example.com", "token_type": "Bearer", "exp": 4_070_908_800_i64,
            "iat": answer["iat"], "sub": minted["token"]["user"]["id"], "aud": ["default"], "grants": {"default": ["rivers:read", "rivers:write"]},
            "iss": instance.server.url(), "jti": minted["token"]["id"],
        })
    );
    let body = json!({"name": "ci", "scopes": ["rivers:run"], "expires_at": "never"});
    let minted = instance.minted(WORKSPACE, &body);
    let forever = ask(&instance, text(&minted["secret"])).expect(200).json();
    assert!(forever.get("exp").is_none() && forever.get("nbf").is_none(), "{forever}");
}

#[test]
fn inactive_tokens_get_byte_identical_responses() {
    let instance = Instance::start();
    let minted = |more: Value| {
        let mut body = draft("subject");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        instance.minted(WORKSPACE, &body)
    };
    let path =
        |minted: &Value, end: &str| format!("/api/v1/tokens/{}{end}", text(&minted["token"]["id"]));
    let good = minted(json!({}));
    let later = minted(json!({"not_before": "2099-01-01T00:00:00Z", "expires_at": "never"}));
    let bound = minted(json!({"ip_allow": ["127.0.0.0/8"]}));
    let (deleted, disabled, expired) = (minted(json!({})), minted(json!({})), minted(json!({})));
    instance.managing("DELETE", &path(&deleted, "")).send().expect(204);
    instance.managing("POST", &path(&disabled, "/disable")).send().expect(200);
    instance.managing("POST", &path(&expired, "/expire")).send().expect(200);
    let rotated = minted(json!({}));
    instance
        .managing("POST", &path(&rotated, "/rotate"))
        .json(&json!({"grace_s": 0}))
        .send()
        .expect(201);
    instance.person("gone", "member", Some("member"));
    let orphan = minted(json!({"user": "gone@example.com"}));
    instance.sql("UPDATE users SET enabled = false WHERE email = 'gone@example.com'");
    let unknown = domain::token_text::compose("tsr", "000000000000000000000000000000");
    // A caller that may verify in one workspace sends another workspace's token.
    instance.person("wanda", "member", Some("admin"));
    let body = json!({
        "name": "verifier", "user": "wanda@example.com", "audiences": ["tessera"], "scopes": ["verify"],
    });
    let by = By::Token(instance.mint(WORKSPACE, &body));
    let foreign = instance.mint(OTHER, &draft("foreign"));
    let by_wanda =
        |token: &str| instance.request(&by, "POST", PATH).form(&[("token", token)]).send();
    assert_eq!(by_wanda(text(&good["secret"])).expect(200).json()["active"], true);
    let mut answers = vec![("foreign", by_wanda(&foreign))];
    for (what, token) in [
        ("malformed", "XYZ"),
        ("no text", "a\0é"),
        ("unknown", &unknown),
        ("deleted", text(&deleted["secret"])),
        ("disabled", text(&disabled["secret"])),
        ("expired", text(&expired["secret"])),
        ("scheduled", text(&later["secret"])),
        ("replaced", text(&rotated["secret"])),
        ("orphan", text(&orphan["secret"])),
        // The address that uses the token is unknown.
        ("bound", text(&bound["secret"])),
    ] {
        answers.push((what, ask(&instance, token)));
    }
    for (what, answer) in answers {
        assert_eq!((what, answer.status, &*answer.text()), (what, 200, INACTIVE));
        let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let good = ask(&instance, text(&good["secret"]));
        let mut of_good: Vec<_> = good.headers.iter().map(|(name, _)| name.as_str()).collect();
        of_good.sort_unstable();
        assert_eq!(names, of_good, "{what}");
    }
}

#[test]
fn caller_must_be_authenticated_and_allowed() {
    let instance = Instance::start();
    let subject = instance.mint(WORKSPACE, &draft("subject"));
    let form = |request: Request| request.form(&[("token", &subject)]).send();
    let with =
        |value: &str| form(instance.server.request("POST", PATH).header("authorization", value));
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for pair in [format!("gateway:{}", instance.manager), format!(":{}", instance.manager)] {
        assert_eq!(with(&basic(&pair)).expect(200).json()["active"], true);
    }
    assert_eq!(with(&format!("Bearer {}", instance.manager)).expect(200).json()["active"], true);
    let plain = form(instance.server.request("POST", PATH).header("token", &instance.manager));
    assert_eq!(plain.expect(200).json()["active"], true);

    let nobody = form(instance.server.request("POST", PATH));
    error(&nobody, 401, "invalid_client");
    let challenge = "Bearer realm=\"tessera\", Basic realm=\"tessera\", charset=\"UTF-8\"";
    assert_eq!(nobody.header("www-authenticate"), Some(challenge));
    let refused = "Bearer realm=\"tessera\", error=\"invalid_token\", Basic realm=\"tessera\", charset=\"UTF-8\"";
    for value in ["Bearer XYZ", &basic("gateway:XYZ"), &basic("gateway"), "Basic !"] {
        let answer = with(value);
        error(&answer, 401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), Some(refused), "{value}");
    }
    error(&with(&basic("gateway:")), 401, "invalid_client");
    let session = instance.request(&By::Session(OWNER.to_owned()), "POST", PATH);
    error(&form(session), 401, "invalid_client");
    let two = instance.managing("POST", PATH).header("token", &subject);
    error(&form(two), 400, "invalid_request");
    // Without the scope, a token cannot introspect even itself.
    let lacking = with(&format!("Bearer {subject}"));
    error(&lacking, 403, "insufficient_scope");
    assert_eq!(
        lacking.header("www-authenticate"),
        Some("Bearer realm=\"tessera\", error=\"insufficient_scope\", scope=\"verify\"")
    );
}

#[test]
fn request_that_is_not_a_form_with_one_token_is_invalid() {
    let instance = Instance::start();
    let subject = instance.mint(WORKSPACE, &draft("subject"));
    let kind = "application/x-www-form-urlencoded";
    let send = |kind: &str, body: String| {
        instance.managing("POST", PATH).header("content-type", kind).body(body).send()
    };
    for body in ["", "token=", "token_type_hint=access_token", "token=a&token=b"] {
        error(&send(kind, body.to_owned()), 400, "invalid_request");
    }
    for body in
        ["&token_type_hint=refresh_token", "&token_type_hint=", "&resource=x&resource=y&empty"]
    {
        let answer = send(kind, format!("token={subject}{body}")).expect(200);
        assert_eq!(answer.json()["active"], true, "{body}");
    }
    let answer =
        send("Application/X-WWW-Form-Urlencoded; charset=UTF-8", format!("token={subject}"));
    assert_eq!(answer.expect(200).json()["active"], true);
    for other in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        error(&send(other, format!("token={subject}")), 415, "invalid_request");
    }
    error(&send(kind, format!("token={}", "x".repeat(65_536))), 413, "invalid_request");
    assert_eq!(send(kind, format!("token={}", "x".repeat(60_000))).expect(200).text(), INACTIVE);
    // Without a credential, the response does not reveal what the form should contain.
    let nobody =
        instance.server.request("POST", PATH).header("content-type", kind).body("x").send();
    error(&nobody, 401, "invalid_client");
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = instance.managing(method, &format!("{PATH}?token={subject}")).send();
        error(&answer, 405, "invalid_request");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let head = instance.managing("HEAD", PATH).send();
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")));
    error(&instance.managing("POST", "/oauth2/token").send(), 404, "invalid_request");
}

#[test]
fn introspection_neither_checks_nor_uses_the_rate_limit() {
    let instance = Instance::start();
    let mut body = draft("limited");
    body["rate_limit"] = json!({"limit": 1, "window_s": 86_400});
    let token = instance.mint(WORKSPACE, &body);
    for _ in 0..3 {
        assert_eq!(ask(&instance, &token).expect(200).json()["active"], true);
    }
    let question = json!({"token": token, "audience": "default"});
    assert_eq!(instance.verify(&question)["code"], "VALID");
    assert_eq!(instance.verify(&question)["code"], "RATE_LIMITED");
    assert_eq!(ask(&instance, &token).expect(200).json()["active"], true);
    // The caller's own limit applies to its calls.
    let body = json!({
        "name": "caller", "audiences": ["tessera"], "scopes": ["verify"],
        "rate_limit": {"limit": 1, "window_s": 86_400},
    });
    let caller = By::Token(instance.mint(WORKSPACE, &body));
    let by_caller = || instance.request(&caller, "POST", PATH).form(&[("token", &token)]).send();
    by_caller().expect(200);
    let refused = by_caller();
    error(&refused, 429, "temporarily_unavailable");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn introspection_counts_as_a_use() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("used"));
    let path = format!("/api/v1/tokens/{}", text(&minted["token"]["id"]));
    let rotated = instance
        .managing("POST", &format!("{path}/rotate"))
        .json(&json!({"grace_s": 3_600, "until_first_use": true}))
        .send()
        .expect(201)
        .json();
    assert_eq!(ask(&instance, text(&minted["secret"])).json()["active"], true);
    assert_eq!(ask(&instance, text(&rotated["secret"])).json()["active"], true);
    assert_eq!(ask(&instance, text(&minted["secret"])).text(), INACTIVE, "its grace has ended");
}
