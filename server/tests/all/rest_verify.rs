//! `POST /api/v1/verify`: every decision code that can be reached, and the callers that may verify.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OTHER, WORKSPACE, draft, problem};
use crate::support::{server::ADMIN_EMAIL, wait::until};
use serde_json::{Value, json};

fn id(minted: &Value) -> &str {
    minted["token"]["id"].as_str().unwrap()
}

fn secret(minted: &Value) -> &str {
    minted["secret"].as_str().unwrap()
}

#[test]
fn valid_token_is_reported_with_everything_that_an_api_needs() {
    let instance = Instance::start();
    let body = json!({"name": "ci", "scopes": ["rivers:write"], "expires_at": "never"});
    let minted = instance.minted(WORKSPACE, &body);
    let answer = instance.verify(&json!({
        "token": secret(&minted), "audience": "default", "scopes": ["rivers:read", "rivers:write"],
        "ip": "192.0.2.1", "workspace": WORKSPACE,
    }));
    assert_eq!(
        answer,
        json!({
            "valid": true, "code": "VALID", "token_id": id(&minted), "workspace": WORKSPACE,
            "user": minted["token"]["user"], "audiences": ["default"], "grants": {"default": answer["scopes"]},
            "scopes": answer["scopes"], "expires_at": null, "rate_limit": null,
        })
    );
    let mut scopes: Vec<&str> =
        answer["scopes"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["rivers:read", "rivers:write"]);
}

/// Tokens that differ only in ID and expiry share one prepared response.
#[test]
fn response_from_memory_is_byte_identical_to_the_slow_path() {
    let instance = Instance::start();
    instance.sql(&format!(
        r#"UPDATE users SET name = 'é\u0001 ","expires_at":"{{}} \' WHERE email = '{ADMIN_EMAIL}'"#
    ));
    let ends =
        [json!("never"), json!("2099-01-02T03:04:05Z"), json!("2099-01-02T03:04:05.678901Z")];
    for name in ["one", "another"] {
        for end in &ends {
            let body = json!({"name": name, "scopes": ["rivers:write"], "expires_at": end});
            let minted = instance.minted(WORKSPACE, &body);
            let question = json!({"token": secret(&minted), "scopes": ["rivers:read"]});
            let ask = || instance.managing("POST", "/api/v1/verify").json(&question);
            // A cookie is not among the usual headers, and this endpoint ignores it.
            let longer = ask().header("cookie", "a=b").send().expect(200);
            assert!(longer.header("x-frame-options").is_some());
            let from_memory = until("an answer from memory", || {
                let answer = ask().send().expect(200);
                answer.header("x-frame-options").is_none().then_some(answer)
            });
            assert_eq!(from_memory.text(), longer.text());
            assert_eq!(from_memory.json()["token_id"], id(&minted));
            assert_eq!(from_memory.json()["expires_at"], minted["token"]["expires_at"]);
        }
    }
}

#[test]
fn cached_caller_gets_the_same_refusals() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("subject"));
    let question = json!({"token": secret(&minted), "scopes": ["rivers:run"]});
    let ask = || instance.managing("POST", "/api/v1/verify");
    until("an answer from memory", || {
        let answer = ask().json(&question).send().expect(200);
        answer.header("x-frame-options").is_none().then_some(())
    });
    let list = json!([secret(&minted), "default", ["rivers:run"]]);
    ask().json(&list).send().expect(422);
    let forms = || ask().header("content-type", "text/plain").json(&question);
    forms().send().expect(415);
}

#[test]
fn incomplete_body_of_a_cached_caller_is_refused() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("subject"));
    let question = json!({"token": secret(&minted)});
    until("an answer from memory", || {
        let answer = instance.managing("POST", "/api/v1/verify").json(&question).send().expect(200);
        answer.header("x-frame-options").is_none().then_some(())
    });
    let unfinished = instance.managing("POST", "/api/v1/verify");
    let unfinished = unfinished.header("content-type", "application/json");
    unfinished.header("content-length", "100").send().expect(400);
}

#[test]
fn every_refusal_has_its_code_and_reveals_nothing_else() {
    let instance = Instance::start();
    let minted = |more: Value| {
        let mut body = draft("subject");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        instance.minted(WORKSPACE, &body)
    };
    let good = minted(json!({}));
    let good = secret(&good);
    let later = minted(json!({"not_before": "2099-01-01T00:00:00Z", "expires_at": "never"}));
    let bound = minted(json!({"ip_allow": ["10.0.0.0/8"]}));
    let deleted = minted(json!({}));
    instance.managing("DELETE", &format!("/api/v1/tokens/{}", id(&deleted))).send().expect(204);
    let expired = minted(json!({}));
    instance.sql(&format!(
        "UPDATE tokens SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'
          WHERE id = '{}'", id(&expired)
    ));
    let disabled = minted(json!({}));
    instance.sql(&format!("UPDATE tokens SET enabled = false WHERE id = '{}'", id(&disabled)));
    instance.person("gone", "member", Some("member"));
    let orphan = minted(json!({"user": "gone@example.com"}));
    instance.sql("UPDATE users SET enabled = false WHERE email = 'gone@example.com'");
    let unknown = domain::token_text::compose("tsr", "000000000000000000000000000000");
    let mistyped = format!("{}x", &good[..39]);

    for (question, code) in [
        (json!({"token": ""}), "MALFORMED"),
        (json!({"token": "XYZ"}), "MALFORMED"),
        (json!({"token": "a\u{0}b"}), "MALFORMED"),
        (json!({"token": mistyped}), "MALFORMED"),
        (json!({"token": format!(" {good}")}), "MALFORMED"),
        (json!({"token": unknown}), "NOT_FOUND"),
        (json!({"token": good, "workspace": OTHER}), "NOT_FOUND"),
        (json!({"token": secret(&deleted)}), "REVOKED"),
        (json!({"token": secret(&expired)}), "EXPIRED"),
        (json!({"token": secret(&disabled)}), "DISABLED"),
        (json!({"token": secret(&later)}), "NOT_YET_VALID"),
        (json!({"token": secret(&orphan)}), "OWNER_DISABLED"),
        (json!({"token": secret(&bound)}), "IP_DENIED"),
        (json!({"token": secret(&bound), "ip": "192.0.2.1"}), "IP_DENIED"),
        (json!({"token": good, "audience": "tessera"}), "AUDIENCE_MISMATCH"),
        (json!({"token": good, "audience": "nowhere"}), "AUDIENCE_MISMATCH"),
        (
            json!({"token": good, "audience": "default", "scopes": ["rivers:run", "rivers:read"]}),
            "INSUFFICIENT_SCOPE",
        ),
        (json!({"token": good, "scopes": ["no:such"]}), "INSUFFICIENT_SCOPE"),
    ] {
        let answer = instance.verify(&question);
        assert_eq!(answer, json!({"valid": false, "code": code}), "{question}");
    }
    for question in [
        json!({"token": good}),
        json!({"token": good, "scopes": []}),
        json!({"token": secret(&bound), "ip": "10.1.2.3"}),
        json!({"token": secret(&bound), "ip": "::ffff:10.1.2.3"}),
    ] {
        assert_eq!(instance.verify(&question)["valid"], true, "{question}");
    }
}

#[test]
fn use_is_recorded_soon() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("used"));
    instance.verify(&json!({"token": secret(&minted), "ip": "192.0.2.7"}));
    let path = format!("/api/v1/tokens/{}", id(&minted));
    let token = crate::support::wait::until("the use to be recorded", || {
        let token = instance.managing("GET", &path).send().expect(200).json();
        token["last_used_at"].is_string().then_some(token)
    });
    assert_eq!(token["last_used_ip"], "192.0.2.7");
}

#[test]
fn caller_learns_nothing_about_workspaces_that_it_may_not_verify() {
    let instance = Instance::start();
    let verifier = instance.person("vera", "member", Some("verifier"));
    let foreign = instance.mint(OTHER, &draft("foreign"));
    let ask = |by: &By, token: &str| {
        instance.request(by, "POST", "/api/v1/verify").json(&json!({"token": token})).send()
    };
    assert_eq!(
        ask(&verifier, &foreign).expect(200).json(),
        json!({"valid": false, "code": "NOT_FOUND"})
    );
    assert_eq!(ask(&verifier, &instance.manager).expect(200).json()["valid"], true);
    let plain = By::Token(instance.mint(WORKSPACE, &draft("plain")));
    problem(&ask(&plain, &foreign), 403, "insufficient_scope");
    problem(&ask(&By::Nobody, &foreign), 401, "unauthenticated");
}

#[test]
fn token_beyond_its_limit_is_rate_limited_everywhere_and_its_limit_can_be_changed() {
    let instance = Instance::start();
    let body = json!({
        "name": "limited", "audiences": ["default", "tessera"], "scopes": ["rivers:run", "verify"],
        "rate_limit": {"limit": 2, "window_s": 86_400},
    });
    let minted = instance.minted(WORKSPACE, &body);
    assert_eq!(minted["token"]["rate_limit"], body["rate_limit"]);
    let question = json!({"token": secret(&minted), "audience": "default"});
    let state = |remaining: i64, reset_s: i64| json!({"limit": 2, "window_s": 86_400, "remaining": remaining, "reset_s": reset_s});
    assert_eq!(instance.verify(&question)["rate_limit"], state(1, 43_200));
    // A refusal for another reason does not count.
    let wrong = json!({"token": secret(&minted), "audience": "nowhere"});
    assert_eq!(instance.verify(&wrong), json!({"valid": false, "code": "AUDIENCE_MISMATCH"}));
    assert_eq!(instance.verify(&question)["rate_limit"]["remaining"], 0);
    let mut refused = instance.verify(&question);
    // Some time has passed since the first question.
    for (value, most) in [
        (refused["retry_after_s"].take(), 43_200),
        (refused["rate_limit"]["reset_s"].take(), 86_400),
    ] {
        assert!((most - 100..=most).contains(&value.as_i64().unwrap()), "{value}");
    }
    assert_eq!(
        refused,
        json!({
            "valid": false, "code": "RATE_LIMITED", "retry_after_s": null,
            "rate_limit": {"limit": 2, "window_s": 86_400, "remaining": 0, "reset_s": null},
        })
    );
    // As a caller's own credential.
    let own = By::Token(secret(&minted).to_owned());
    for (method, path) in [("GET", "/api/v1/self"), ("POST", "/api/v1/verify")] {
        let answer = instance.request(&own, method, path).json(&question).send();
        let problem = problem(&answer, 429, "rate_limited");
        let wait = answer.header("retry-after").unwrap();
        assert_eq!(problem["retry_after_s"].to_string(), wait);
        assert!((43_100..=43_200).contains(&wait.parse::<i64>().unwrap()), "{wait}");
    }
    let path = format!("/api/v1/tokens/{}", id(&minted));
    let change =
        |limit: Value| instance.managing("PATCH", &path).json(&json!({"rate_limit": limit})).send();
    let wider = json!({"limit": 1_000_000, "window_s": 1});
    assert_eq!(change(wider.clone()).expect(200).json()["rate_limit"], wider);
    // Used requests stay used, and are refilled at the new rate.
    until("the wider limit", || (instance.verify(&question)["code"] == "VALID").then_some(()));
    assert_eq!(change(Value::Null).expect(200).json()["rate_limit"], Value::Null);
    assert_eq!(instance.verify(&question)["rate_limit"], Value::Null);
    for (limit, fault) in [
        (json!({"limit": 0, "window_s": 60}), "rate_limit.limit: must be 1 to 1,000,000"),
        (json!({"limit": 1_000_001, "window_s": 60}), "rate_limit.limit: must be 1 to 1,000,000"),
        (json!({"limit": 1, "window_s": 0}), "rate_limit.window_s: must be 1 to 86,400 seconds"),
        (
            json!({"limit": 1, "window_s": 86_401}),
            "rate_limit.window_s: must be 1 to 86,400 seconds",
        ),
    ] {
        let problem = problem(&change(limit.clone()), 422, "validation_failed");
        assert_eq!(crate::rest_support::fields(&problem), [fault]);
        let mut draft = draft("refused");
        draft["rate_limit"] = limit;
        let answer = problem_of_create(&instance, &draft);
        assert_eq!(crate::rest_support::fields(&answer), [fault]);
    }
    for limit in [
        json!(600),
        json!("600/60s"),
        json!({}),
        json!({"limit": 1}),
        json!({"limit": 1.5, "window_s": 1}),
        json!({"limit": 1, "window_s": 1, "burst": 1}),
    ] {
        problem(&change(limit), 422, "validation_failed");
    }
}

#[track_caller]
fn problem_of_create(instance: &Instance, draft: &Value) -> Value {
    problem(&instance.create(draft), 422, "validation_failed")
}

#[test]
fn batch_returns_the_same_results_in_order_as_single_requests() {
    let instance = Instance::start();
    let ask = |by: &By, items: &Value| {
        let body = json!({"items": items});
        instance.request(by, "POST", "/api/v1/verify/batch").json(&body).send()
    };
    let manager = By::Token(instance.manager.clone());
    let good = instance.mint(WORKSPACE, &draft("good"));
    let mut limited = draft("limited");
    limited["rate_limit"] = json!({"limit": 2, "window_s": 86_400});
    let limited = instance.mint(WORKSPACE, &limited);
    let deleted = instance.minted(WORKSPACE, &draft("deleted"));
    instance.managing("DELETE", &format!("/api/v1/tokens/{}", id(&deleted))).send().expect(204);
    let foreign = instance.mint(OTHER, &draft("foreign"));
    let unknown = domain::token_text::compose("tsr", "000000000000000000000000000000");
    let items = json!([
        {"token": "XYZ"},
        {"token": good, "audience": "default", "scopes": ["rivers:run"]},
        {"token": unknown},
        {"token": limited},
        {"token": good, "audience": "default", "scopes": ["rivers:read"]},
        {"token": secret(&deleted)},
        {"token": foreign},
        {"token": limited},
        {"token": good, "audience": "default", "scopes": ["rivers:run"]},
        {"token": limited},
        {"token": ""},
    ]);
    let answer = ask(&manager, &items).expect(200).json();
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let codes: Vec<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "MALFORMED",
            "VALID",
            "NOT_FOUND",
            "VALID",
            "INSUFFICIENT_SCOPE",
            "REVOKED",
            "VALID",
            "VALID",
            "VALID",
            "RATE_LIMITED",
            "MALFORMED",
        ]
    );
    // The same answer as to the single question.
    assert_eq!(answer["items"][1], instance.verify(&items[1]));
    assert_eq!(answer["items"][4], json!({"valid": false, "code": "INSUFFICIENT_SCOPE"}));
    assert_eq!(answer["items"][7]["rate_limit"]["remaining"], 0);
    let hundred = json!(vec![json!({"token": good}); 100]);
    let answer = ask(&manager, &hundred).expect(200).json();
    assert_eq!(answer["items"].as_array().unwrap().len(), 100);
    // A caller learns nothing about workspaces in which it may not verify, in a batch either.
    let verifier = instance.person("vera", "member", Some("verifier"));
    let both = json!([{"token": good}, {"token": foreign}, {"token": good}]);
    let answer = ask(&verifier, &both).expect(200).json();
    assert_eq!(answer["items"][1], json!({"valid": false, "code": "NOT_FOUND"}));
    assert_eq!(
        (&answer["items"][0]["code"], &answer["items"][2]["code"]),
        (&json!("VALID"), &json!("VALID"))
    );
    problem(&ask(&By::Token(good.clone()), &both), 403, "insufficient_scope");
    problem(&ask(&By::Nobody, &both), 401, "unauthenticated");
}

#[test]
fn invalid_item_is_named_and_refuses_the_whole_batch() {
    let instance = Instance::start();
    let mut limited = draft("limited");
    limited["rate_limit"] = json!({"limit": 1, "window_s": 86_400});
    let token = instance.mint(WORKSPACE, &limited);
    let good = json!({"token": token});
    let send = |body: &Value| {
        let answer = instance.managing("POST", "/api/v1/verify/batch").json(body).send();
        crate::rest_support::fields(&problem(&answer, 422, "validation_failed"))
    };
    let none = "items: must contain 1 to 100 requests";
    assert_eq!(send(&json!({"items": []})), [none]);
    assert_eq!(send(&json!({"items": vec![good.clone(); 101]})), [none]);
    assert_eq!(send(&json!({})), ["items: is missing"]);
    assert_eq!(send(&json!({"items": [good, {}]})), ["items[1].token: is missing"]);
    assert_eq!(
        send(&json!({"items": [good, [token]]})),
        ["items[1]: must be an object, not an array"]
    );
    assert_eq!(
        send(&json!({"items": {"token": token}})),
        ["items: must be an array, not an object"]
    );
    // The questions of a caller that may not verify are not parsed.
    let other = By::Token(instance.mint(WORKSPACE, &draft("may not ask")));
    let bad = json!({"items": [{"token": "x", "scopes": ["B b"]}]});
    let refused = instance.request(&other, "POST", "/api/v1/verify/batch").json(&bad).send();
    problem(&refused, 403, "insufficient_scope");
    let many = json!({"token": token, "scopes": vec!["rivers:run"; 65]});
    let too_many = "scopes: must have at most 64 scopes, not 65";
    assert_eq!(send(&json!({"items": [good, many]})), [format!("items[1].{too_many}")]);
    let alone = instance.managing("POST", "/api/v1/verify").json(&many).send();
    assert_eq!(crate::rest_support::fields(&problem(&alone, 422, "validation_failed")), [too_many]);
    let faults = send(&json!({"items": [
        good, {"token": "x", "ip": "x"}, good, {"token": "x", "scopes": ["B b"], "audience": ""},
    ]}));
    let fields: Vec<&str> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(fields, ["items[1].ip", "items[3].audience", "items[3].scopes[0]"]);
    let unknown = send(&json!({"items": [{"token": "x", "scope": "a"}]}));
    assert!(unknown[0].starts_with("items[0].scope: is not a known field"), "{unknown:?}");
    // None of these requests counted against a limit.
    assert_eq!(instance.verify(&good)["code"], "VALID");
}

#[test]
fn batch_response_is_bounded_in_bytes() {
    let instance = Instance::start();
    let catalogue = json!({
        "audience": "tables", "name": "Tables", "groups": [{"name": "Tables", "scopes": [
            {"name": "table://**", "description": "Query tables"},
        ]}],
    });
    let owner = By::Session(crate::rest_support::OWNER.to_owned());
    let path = "/api/v1/audiences/tables/catalogue";
    instance.request(&owner, "PUT", path).json(&catalogue).send().expect(200);
    let scopes: Vec<String> =
        (0..120).map(|number| format!("table://{}{number:03}", "n".repeat(501))).collect();
    let wide = json!({
        "name": "wide", "grants": {"tables": scopes}, "rate_limit": {"limit": 8, "window_s": 86_400},
    });
    let minted = instance.request(&owner, "POST", &crate::rest_support::tokens_of(WORKSPACE));
    let wide = minted.json(&wide).send().expect(201).json();
    let ask = |count: usize| {
        let body = json!({"items": vec![json!({"token": secret(&wide)}); count]});
        instance.managing("POST", "/api/v1/verify/batch").json(&body).send()
    };
    let refused = crate::rest_support::fields(&problem(&ask(9), 422, "validation_failed"));
    assert!(refused[0].starts_with("items: must be fewer"), "{refused:?}");
    // The refused request did not count against the limit.
    let answer = ask(8).expect(200);
    assert!((900_000..=1_048_576).contains(&answer.text().len()), "{}", answer.text().len());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    for item in body["items"].as_array().unwrap() {
        assert_eq!(item["code"], "VALID");
        assert_eq!(item["grants"]["tables"], json!(scopes));
        assert_eq!(item["scopes"], json!(scopes));
    }
    assert_eq!(body["items"][7]["rate_limit"]["remaining"], 0);
}
