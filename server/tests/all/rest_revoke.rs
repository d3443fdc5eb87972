//! `POST /oauth2/revoke` (RFC 7009).
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OTHER, Sql, WORKSPACE, draft};
use crate::support::Answer;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const PATH: &str = "/oauth2/revoke";

fn revoke(instance: &Instance, by: &By, token: &str) -> Answer {
    instance.request(by, "POST", PATH).form(&[("token", token)]).send()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[track_caller]
fn done(answer: &Answer) {
    assert_eq!((answer.status, &*answer.text()), (200, ""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[track_caller]
fn error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["error"], code);
}

fn code(instance: &Instance, token: &str) -> String {
    text(&instance.verify(&json!({"token": token}))["code"]).to_owned()
}

fn deletions(instance: &Instance) -> i64 {
    Sql::on(&instance.server)
        .number("SELECT count(*) FROM audit_events WHERE action = 'token.delete'")
}

#[test]
fn browser_can_revoke_only_from_a_page_of_this_server() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("subject"));
    let token = text(&minted["secret"]);
    let ask = |headers: &[(&str, &str)]| {
        let request = instance.server.request("POST", PATH).form(&[("token", token)]);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    for sender in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        error(&ask(&[sender]), 403, "invalid_request");
    }
    // A page whose own name resolves to this server has the same origin (DNS rebinding).
    for sender in [("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")] {
        error(&ask(&[("host", "evil.example"), sender]), 400, "invalid_request");
    }
    assert_eq!(code(&instance, token), "VALID");
    done(&ask(&[("origin", &instance.server.url())]));
    assert_eq!(code(&instance, token), "REVOKED");
}

#[test]
fn holder_revokes_the_token_without_any_other_credential() {
    let instance = Instance::start();
    let ways: [&dyn Fn(&str) -> Answer; 3] = [
        &|token| revoke(&instance, &By::Nobody, token),
        &|token| revoke(&instance, &By::Token(token.to_owned()), token),
        &|token| {
            let value = format!("Basic {}", STANDARD.encode("public-client:"));
            let request = instance.server.request("POST", PATH).header("authorization", &value);
            request.form(&[("token", token), ("token_type_hint", "refresh_token")]).send()
        },
    ];
    for (index, way) in ways.iter().enumerate() {
        let minted = instance.minted(WORKSPACE, &draft("subject"));
        let token = text(&minted["secret"]);
        done(&way(token));
        assert_eq!(code(&instance, token), "REVOKED");
        // A repetition returns the same response, and adds no row to the log.
        done(&way(token));
        assert_eq!(deletions(&instance), i64::try_from(index).unwrap() + 1);
        let id = text(&minted["token"]["id"]);
        let by_itself = format!(
            "SELECT count(*) FROM audit_events WHERE action = 'token.delete' AND subject_id = '{id}'
                AND actor_kind = 'token' AND actor_id = '{id}' AND surface = 'oauth2'"
        );
        assert_eq!(Sql::on(&instance.server).number(&by_itself), 1);
    }
}

#[test]
fn token_that_could_work_again_is_revoked_and_an_expired_one_is_left_unchanged() {
    let instance = Instance::start();
    let minted = |more: Value| {
        let mut body = draft("subject");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        instance.minted(WORKSPACE, &body)
    };
    let path =
        |minted: &Value, end: &str| format!("/api/v1/tokens/{}{end}", text(&minted["token"]["id"]));
    let later = minted(json!({"not_before": "2099-01-01T00:00:00Z", "expires_at": "never"}));
    let bound = minted(json!({"ip_allow": ["10.0.0.0/8"]}));
    let limited = minted(json!({"rate_limit": {"limit": 1, "window_s": 86_400}}));
    let disabled = minted(json!({}));
    instance.managing("POST", &path(&disabled, "/disable")).send().expect(200);
    assert_eq!(code(&instance, text(&limited["secret"])), "VALID");
    assert_eq!(code(&instance, text(&limited["secret"])), "RATE_LIMITED");
    for token in [later, bound, limited, disabled] {
        let token = text(&token["secret"]).to_owned();
        done(&revoke(&instance, &By::Nobody, &token));
        assert_eq!(code(&instance, &token), "REVOKED");
    }
    assert_eq!(deletions(&instance), 4);
    let expired = minted(json!({}));
    instance.managing("POST", &path(&expired, "/expire")).send().expect(200);
    let rotated = minted(json!({}));
    let newer =
        instance.managing("POST", &path(&rotated, "/rotate")).json(&json!({"grace_s": 0})).send();
    let newer = newer.expect(201).json();
    let unknown = domain::token_text::compose("tsr", "000000000000000000000000000000");
    for by in [By::Nobody, By::Token(instance.manager.clone())] {
        for token in
            [text(&expired["secret"]), text(&rotated["secret"]), &unknown, "XYZ", "a\0é", " "]
        {
            done(&revoke(&instance, &by, token));
        }
    }
    assert_eq!(deletions(&instance), 4);
    // A caller with only a replaced secret revokes nothing.
    assert_eq!(code(&instance, text(&newer["secret"])), "VALID");
    assert_eq!(code(&instance, text(&expired["secret"])), "EXPIRED");
}

#[test]
fn another_caller_needs_the_right_to_delete_and_learns_nothing_about_other_tokens() {
    let instance = Instance::start();
    let subject = |workspace: &str| instance.mint(workspace, &draft("subject"));
    // Administrators of the instance may, an administrator of a workspace may not.
    instance.person("wanda", "member", Some("admin"));
    let by = |scope: &str| {
        let body = json!({
            "name": scope, "user": "wanda@example.com", "audiences": ["tessera"], "scopes": [scope],
        });
        By::Token(instance.mint(WORKSPACE, &body))
    };
    let (writer, reader) = (by("tokens:write"), by("tokens:read"));
    let own = subject(WORKSPACE);
    let refused = revoke(&instance, &reader, &own);
    error(&refused, 403, "insufficient_scope");
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer realm=\"tessera\", error=\"insufficient_scope\", scope=\"tokens:write\"")
    );
    assert_eq!(code(&instance, &own), "VALID");
    let foreign = subject(OTHER);
    let before = deletions(&instance);
    done(&revoke(&instance, &writer, &foreign));
    assert_eq!((code(&instance, &foreign), deletions(&instance)), ("VALID".into(), before));
    done(&revoke(&instance, &writer, &own));
    assert_eq!((code(&instance, &own), deletions(&instance)), ("REVOKED".into(), before + 1));
    // A credential that is not accepted is different from no credential.
    let kept = subject(WORKSPACE);
    let answer = revoke(&instance, &By::Token("XYZ".into()), &kept);
    error(&answer, 401, "invalid_client");
    assert!(answer.header("www-authenticate").unwrap().contains("Basic realm="));
    // A credential without any right is still accepted as a credential.
    let plain = By::Token(instance.mint(WORKSPACE, &draft("plain")));
    error(&revoke(&instance, &plain, &kept), 403, "insufficient_scope");
    assert_eq!(code(&instance, &kept), "VALID");
}

#[test]
fn request_that_is_not_a_form_with_one_token_revokes_nothing() {
    let instance = Instance::start();
    let token = instance.mint(WORKSPACE, &draft("subject"));
    let kind = "application/x-www-form-urlencoded";
    let send = |kind: &str, body: String| {
        instance.server.request("POST", PATH).header("content-type", kind).body(body).send()
    };
    for body in [
        "",
        "token=",
        &format!("token={token}&token={token}"),
        &format!("token={token}&token_type_hint=x&token_type_hint=x"),
    ] {
        error(&send(kind, body.to_owned()), 400, "invalid_request");
    }
    error(&send("application/json", format!("token={token}")), 415, "invalid_request");
    error(&send(kind, format!("token={}", "x".repeat(65_536))), 413, "invalid_request");
    for method in ["GET", "DELETE", "OPTIONS"] {
        let answer = instance.server.request(method, &format!("{PATH}?token={token}")).send();
        error(&answer, 405, "invalid_request");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    // A token in the query revokes nothing, because it would be in logs.
    let answer = instance.server.request("POST", &format!("{PATH}?token={token}"));
    error(&answer.form(&[]).send(), 400, "invalid_request");
    assert_eq!(code(&instance, &token), "VALID");
}
