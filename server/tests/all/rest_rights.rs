//! Rights do not grow, on any surface: REST, the console, the command line, other products' APIs.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OWNER, Sql, WORKSPACE, fields, problem, tokens_of};
use crate::support::{Answer, server::ADMIN_EMAIL};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const KRITEN: &str = "/api/v1/api_tokens";
const ROBUST: &str = "/v1/users/api-tokens";
const NEVER: &str = "0001-01-01T00:00:00Z";

fn owner() -> By {
    By::Session(OWNER.to_owned())
}

fn by(minted: &Value) -> By {
    By::Token(minted["secret"].as_str().unwrap().to_owned())
}

fn secret(minted: &Value) -> &str {
    minted["secret"].as_str().unwrap()
}

fn rest(minted: &Value, operation: &str) -> String {
    format!("/api/v1/tokens/{}{operation}", minted["token"]["id"].as_str().unwrap())
}

fn devo(minted: &Value, operation: &str) -> String {
    let tokens = format!("/ws/accounts/{WORKSPACE}/credentials/tokens");
    format!("{tokens}/{}{operation}", minted["token"]["num"])
}

fn kriten(minted: &Value) -> String {
    format!("{KRITEN}/{}", minted["token"]["id"].as_str().unwrap())
}

fn console(minted: &Value, operation: &str) -> String {
    let id = minted["token"]["id"].as_str().unwrap();
    format!("/workspaces/{WORKSPACE}/settings/tokens/{id}/{operation}")
}

/// Sends a request, with a body unless it is null.
fn call(instance: &Instance, by: &By, method: &str, path: &str, body: &Value) -> Answer {
    let request = instance.request(by, method, path);
    if body.is_null() { request.send() } else { request.json(body).send() }
}

fn code(instance: &Instance, minted: &Value) -> String {
    let answer = instance.verify(&json!({"token": secret(minted)}));
    answer["code"].as_str().unwrap().to_owned()
}

fn shown(instance: &Instance, minted: &Value) -> Value {
    call(instance, &owner(), "GET", &rest(minted, ""), &Value::Null).expect(200).json()
}

/// A token that manages tokens for a day, from this machine, a thousand times a minute.
fn bound_manager(instance: &Instance) -> Value {
    let body = json!({
        "name": "bound", "audiences": ["tessera", "default"], "expires_at": "1d",
        "scopes": ["tokens:write", "tokens:reveal", "rivers:read"],
        "ip_allow": ["127.0.0.0/8"], "rate_limit": {"limit": 1000, "window_s": 60},
    });
    instance.minted(WORKSPACE, &body)
}

#[track_caller]
fn policy(instance: &Instance, rule: &str) {
    instance.server.run(&["policy", "set", "--workspace", WORKSPACE, rule]).ok();
}

#[test]
fn token_gets_no_rights_or_secrets_beyond_its_own_on_any_surface() {
    let instance = Instance::start();
    policy(&instance, "reveal=recoverable_allowed");
    instance.person("lin", "member", Some("admin"));
    let manager = bound_manager(&instance);
    let caller = by(&manager);
    // One token may do what the manager may not, and the other one may do it from elsewhere and
    // more often.
    let strong = json!({
        "name": "strong", "scopes": ["rivers:run"], "recoverable": true, "expires_at": "1h",
        "ip_allow": ["127.0.0.1"], "rate_limit": {"limit": 1, "window_s": 60},
    });
    let strong = instance.minted(WORKSPACE, &strong);
    let free = json!({"name": "free", "scopes": ["rivers:read"], "recoverable": true});
    let free = instance.minted(WORKSPACE, &free);
    for minted in [&strong, &free] {
        call(&instance, &caller, "POST", &rest(minted, "/disable"), &Value::Null).expect(200);
    }
    let before = [shown(&instance, &strong), shown(&instance, &free)];
    for (method, operation, body) in [
        ("PATCH", "", json!({"user": "lin@example.com"})),
        ("PATCH", "", json!({"expires_at": "never"})),
        ("PATCH", "", json!({"ip_allow": []})),
        ("PATCH", "", json!({"rate_limit": null})),
        ("POST", "/enable", Value::Null),
        ("POST", "/rotate", Value::Null),
        ("POST", "/reveal", Value::Null),
    ] {
        let refused = call(&instance, &caller, method, &rest(&strong, operation), &body);
        problem(&refused, 403, "forbidden");
    }
    let copy = json!({"name": "copy"});
    let cloned = call(&instance, &caller, "POST", &rest(&strong, "/clone"), &copy);
    problem(&cloned, 422, "validation_failed");
    let beyond = |answer: &Answer| {
        let refusal = problem(answer, 422, "bound_exceeded");
        let named = fields(&refusal);
        named.iter().map(|field| field.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (operation, named) in [
        ("/rotate", &["ip_allow", "rate_limit"][..]),
        ("/reveal", &["ip_allow", "rate_limit"]),
        ("/enable", &["expires_at", "ip_allow", "rate_limit"]),
    ] {
        let refused = call(&instance, &caller, "POST", &rest(&free, operation), &Value::Null);
        assert_eq!(beyond(&refused), named, "{operation}");
    }
    let ids = json!([strong["token"]["id"], free["token"]["id"]]);
    let many = json!({"action": "enable", "ids": ids});
    let many = call(&instance, &caller, "POST", &format!("{}/bulk", tokens_of(WORKSPACE)), &many);
    let many = many.expect(200).json();
    assert_eq!(
        (&many["items"][0]["status"], &many["items"][1]["status"]),
        (&json!(403), &json!(422))
    );
    // The other products' APIs.
    for (minted, status) in [(&strong, 403), (&free, 400)] {
        call(&instance, &caller, "PUT", &devo(minted, "/enable"), &Value::Null).expect(status);
        let value = call(&instance, &caller, "GET", &devo(minted, ""), &Value::Null).expect(status);
        assert!(!value.text().contains(secret(minted)));
        let change = json!({"enabled": true, "expires": NEVER});
        for change in [change, json!({"enabled": true}), json!({"expires": NEVER})] {
            let request = instance.server.request("PATCH", &kriten(minted));
            request.header("Token", secret(&manager)).json(&change).send().expect(status);
        }
    }
    let refusal = call(&instance, &caller, "GET", &devo(&free, ""), &Value::Null).text();
    assert!(
        refusal.contains("ip_allow") && refusal.contains("would receive the secret"),
        "{refusal}"
    );
    assert_eq!(before, [shown(&instance, &strong), shown(&instance, &free)], "nothing changed");
    // People have no such bounds and may do all of it.
    call(&instance, &owner(), "POST", &rest(&free, "/enable"), &Value::Null).expect(200);
    call(&instance, &owner(), "POST", &rest(&free, "/reveal"), &Value::Null).expect(200);
}

#[test]
fn tokens_created_by_a_token_stay_within_its_bounds_on_every_surface() {
    let instance = Instance::start();
    let manager = bound_manager(&instance);
    let caller = by(&manager);
    let end = &manager["token"]["expires_at"];
    let free = json!({
        "name": "free", "scopes": ["rivers:read"], "expires_at": "never", "ip_allow": ["0.0.0.0/0"],
        "rate_limit": {"limit": 2000, "window_s": 60},
    });
    let refused = call(&instance, &caller, "POST", &tokens_of(WORKSPACE), &free);
    let named = fields(&problem(&refused, 422, "bound_exceeded"));
    assert_eq!(named.len(), 3, "{named:?}");
    let within = |id: &Value| {
        let path = format!("/api/v1/tokens/{}", id.as_str().unwrap());
        let token = call(&instance, &owner(), "GET", &path, &Value::Null).expect(200).json();
        for bound in ["expires_at", "ip_allow", "rate_limit"] {
            assert_eq!(token[bound], manager["token"][bound], "{bound}");
        }
        assert_eq!(token["parent"], manager["token"]["id"]);
    };
    // The default expiry is later than the creator's. The response contains the effective one.
    let body = json!({"name": "plain", "scopes": ["rivers:read"]});
    let made = call(&instance, &caller, "POST", &tokens_of(WORKSPACE), &body).expect(201).json();
    assert_eq!(&made["token"]["expires_at"], end);
    within(&made["token"]["id"]);
    let copy = json!({"name": "copy"});
    let copy = call(&instance, &caller, "POST", &rest(&made, "/clone"), &copy).expect(201).json();
    within(&copy["token"]["id"]);
    let path = format!("{}/import", tokens_of(WORKSPACE));
    let import = |row: &str| {
        let csv =
            format!("digest,name,scopes,expires_at\n{},in,rivers:read,{row}\n", "a".repeat(64));
        let request = instance.request(&caller, "POST", &path).header("content-type", "text/csv");
        request.body(csv).send()
    };
    problem(&import("never"), 422, "validation_failed");
    within(&import("").expect(201).json()["tokens"][0]["id"]);

    let new = json!({
        "name": "devo", "user": ADMIN_EMAIL, "audience": "default", "scopes": "rivers:read",
    });
    let path = format!("/ws/accounts/{WORKSPACE}/credentials/tokens");
    let made = call(&instance, &caller, "POST", &path, &new).expect(200).json();
    let lifetime = made["expires_in_seconds"].as_i64().unwrap();
    assert!((1..=86_400).contains(&lifetime), "{lifetime}");
    let mut late = new;
    late["expiration"] = json!("2099-11-26T16:38:18.000+0200");
    let refusal = call(&instance, &caller, "POST", &path, &late).expect(400).text();
    assert!(refusal.contains("expiration must not be later"), "{refusal}");

    let kriten = |token: &str, body: &Value| {
        let request = instance.server.request("POST", KRITEN).header("Token", token);
        request.json(body).send()
    };
    let made = kriten(secret(&manager), &json!({})).expect(200).json();
    within(&made["id"]);
    assert_ne!(made["expires"], NEVER, "the response contains the resulting expiry");
    let late = kriten(secret(&manager), &json!({"expires": "2099-11-26T16:38:18Z"})).expect(400);
    assert!(late.text().contains("expires must not be later"), "{}", late.text());
    // People and tokens without an expiry may create tokens that never expire.
    let endless = kriten(&instance.manager, &json!({})).expect(200).json();
    assert_eq!(endless["expires"], NEVER);

    let robust = |token: &str, body: &Value| {
        let request = instance.server.request("POST", ROBUST).header("rime-api-key", token);
        request.json(body).send()
    };
    let made = robust(secret(&manager), &json!({"name": "robust"})).expect(200).json();
    within(&made["id"]["uuid"]);
    let late = robust(secret(&manager), &json!({"name": "late", "expiryDays": 270})).expect(400);
    assert!(late.text().contains("expiryDays must not be later"), "{}", late.text());
    robust(&instance.manager, &json!({"name": "270", "expiryDays": 270})).expect(200);
}

#[test]
fn token_that_rotates_itself_keeps_its_lifetime_and_needs_the_policy() {
    let instance = Instance::start();
    let hour = json!({
        "name": "hour", "audiences": ["tessera", "default"], "expires_at": "1h",
        "scopes": ["tokens:write", "rivers:read"],
    });
    let hour = instance.minted(WORKSPACE, &hour);
    let ages = "UPDATE token_secrets SET created_at = created_at - interval '30 min' WHERE current;
                UPDATE tokens SET created_at = created_at - interval '30 min',
                                  expires_at = expires_at - interval '30 min' WHERE name = 'hour';";
    instance.sql(ages);
    let for_ever = json!({"expires_at": "never", "grace_s": 2_592_000});
    let rotated = call(&instance, &by(&hour), "POST", "/api/v1/self/rotate", &for_ever);
    let rotated = rotated.expect(201).json();
    let left = |column: &str| {
        Sql::on(&instance.server).number(&format!(
            "SELECT ceil(extract(epoch FROM {column} - now()) / 60)::bigint FROM tokens t
               JOIN token_secrets s ON s.token_id = t.id AND NOT s.current WHERE t.name = 'hour'"
        ))
    };
    assert!(left("t.expires_at") <= 60, "an hour, as it was given");
    assert!(left("s.expires_at") <= 60, "the older secret, too");
    let by_id = call(&instance, &by(&rotated), "POST", &rest(&hour, "/rotate"), &for_ever);
    let rotated = by_id.expect(201).json();
    assert!(left("t.expires_at") <= 60);
    let own = json!({"expires_at": "2h"});
    let own = call(&instance, &by(&rotated), "PATCH", &rest(&hour, ""), &own);
    problem(&own, 422, "bound_exceeded");

    policy(&instance, "self_rotate=false");
    for path in ["/api/v1/self/rotate", &rest(&hour, "/rotate")] {
        let refused = call(&instance, &by(&rotated), "POST", path, &Value::Null);
        let refusal = problem(&refused, 403, "forbidden");
        assert!(refusal["detail"].as_str().unwrap().contains("rotate themselves"), "{refusal}");
    }
    assert_eq!(code(&instance, &rotated), "VALID");
    call(&instance, &owner(), "POST", &rest(&hour, "/rotate"), &Value::Null).expect(201);
}

/// A member who manages their own tokens, their `Bearer` credential for Kriten's API, and their
/// token.
fn member(instance: &Instance) -> (By, String, Value) {
    instance.server.run(&["preset", "apply", "kriten", "--workspace", WORKSPACE, "--yes"]).ok();
    let member = instance.person("mel", "member", Some("member"));
    let bearer = format!("{:A<43}", "mel");
    instance.sql(&format!(
        "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
         SELECT sha256('{bearer}'), id, now(), now(), now() + interval '1 hour'
           FROM users WHERE email = 'mel@example.com'"
    ));
    let body = json!({"name": "mine", "scopes": ["rivers:read"], "expires_at": "30d"});
    let minted = call(instance, &member, "POST", &tokens_of(WORKSPACE), &body).expect(201).json();
    (member, bearer, minted)
}

/// Tries everything with which a member could make a token work again that an administrator
/// stopped.
#[track_caller]
fn cannot_undo(instance: &Instance, (member, bearer, mine): &(By, String, Value)) {
    let manager = json!({
        "name": "manager", "audiences": ["tessera", "default"], "scopes": ["tokens:write", "rivers:read"],
    });
    let manager = call(instance, member, "POST", &tokens_of(WORKSPACE), &manager);
    let manager = by(&manager.expect(201).json());
    for caller in [member, &manager] {
        for operation in ["/disable", "/expire"] {
            // Their own stop does not replace the administrator's.
            call(instance, caller, "POST", &rest(mine, operation), &Value::Null);
        }
        for (method, operation, body) in [
            ("POST", "/enable", Value::Null),
            ("PATCH", "", json!({"expires_at": "89d"})),
            ("PATCH", "", json!({"expires_at": "never", "name": "other"})),
            ("POST", "/rotate", json!({"expires_at": "89d"})),
            ("POST", "/clone", json!({"name": "copy"})),
        ] {
            let answer = call(instance, caller, method, &rest(mine, operation), &body);
            // An expired token may be enabled, which does not revive it.
            if answer.status != 200 || operation != "/enable" {
                problem(&answer, 403, "forbidden");
            }
        }
        let many = json!({"action": "enable", "ids": [mine["token"]["id"]]});
        let path = format!("{}/bulk", tokens_of(WORKSPACE));
        call(instance, caller, "POST", &path, &many).expect(200);
        let path = format!("/api/v1/workspaces/{WORKSPACE}/policy");
        call(instance, caller, "PUT", &path, &json!({})).expect(403);
        assert_ne!(code(instance, mine), "VALID");
    }
    let By::Token(manager) = &manager else { unreachable!() };
    instance.server.request("PUT", &devo(mine, "/enable")).bearer(manager).send();
    for change in [json!({"enabled": true, "expires": NEVER}), json!({"expires": NEVER})] {
        let patch = || instance.server.request("PATCH", &kriten(mine)).json(&change);
        patch().bearer(bearer).send().expect(403);
        patch().header("Token", manager).send().expect(403);
    }
    for (operation, form) in [
        ("enable", vec![]),
        ("edit", vec![("name", "mine"), ("scope", "rivers:read"), ("expires", "90d")]),
        ("rotate", vec![("grace", "0")]),
    ] {
        let request = instance.request(member, "POST", &console(mine, operation));
        let answer = request.header("sec-fetch-site", "same-origin").form(&form).send();
        assert!(matches!(answer.status, 303 | 403), "{operation}: {}", answer.text());
    }
    assert_ne!(code(instance, mine), "VALID");
}

#[test]
fn member_cannot_enable_a_token_that_an_administrator_disabled_on_any_surface() {
    let instance = Instance::start();
    let theirs = member(&instance);
    let (member, _, mine) = &theirs;
    call(&instance, member, "POST", &rest(mine, "/disable"), &Value::Null).expect(200);
    call(&instance, member, "POST", &rest(mine, "/enable"), &Value::Null).expect(200);
    let stopped = call(&instance, &owner(), "POST", &rest(mine, "/disable"), &Value::Null);
    let by = stopped.expect(200).json()["disabled_by"].clone();
    assert_eq!(
        (&by["standing"], &by["user"]["email"]),
        (&json!("administrator"), &json!(ADMIN_EMAIL))
    );
    let form = instance.request(member, "POST", &console(mine, "enable"));
    form.header("sec-fetch-site", "same-origin").form(&[]).send().expect(403);
    cannot_undo(&instance, &theirs);
    let stopped = shown(&instance, mine);
    assert_eq!((&stopped["enabled"], &stopped["disabled_by"]), (&json!(false), &by));
    let id = mine["token"]["id"].as_str().unwrap();
    instance.server.run(&["token", "enable", id]).ok();
    call(&instance, &owner(), "PATCH", &rest(mine, ""), &json!({"expires_at": "30d"})).expect(200);
    assert_eq!(code(&instance, mine), "VALID");
}

#[test]
fn member_cannot_extend_an_expiry_that_an_administrator_set_on_any_surface() {
    let instance = Instance::start();
    let theirs = member(&instance);
    let (member, _, mine) = &theirs;
    let id = mine["token"]["id"].as_str().unwrap();
    // On the command line, which acts as an administrator. First an earlier expiry, which cannot be
    // undone.
    instance.server.run(&["token", "update", id, "--expires-in", "1d"]).ok();
    let end = shown(&instance, mine)["expires_at"].clone();
    for body in [json!({"expires_at": "2d"}), json!({"expires_at": "never"})] {
        problem(&call(&instance, member, "PATCH", &rest(mine, ""), &body), 403, "forbidden");
    }
    let rotated =
        call(&instance, member, "POST", &rest(mine, "/rotate"), &json!({"expires_at": "9d"}));
    assert_eq!(rotated.expect(201).json()["token"]["expires_at"], end);
    instance.server.run(&["token", "expire", id]).ok();
    cannot_undo(&instance, &theirs);
    assert_eq!(shown(&instance, mine)["ended_by"]["standing"], "administrator");
    call(&instance, &owner(), "POST", &rest(mine, "/enable"), &Value::Null).expect(200);
    call(&instance, &owner(), "PATCH", &rest(mine, ""), &json!({"expires_at": "30d"})).expect(200);
    assert_eq!(shown(&instance, mine)["state"], "active");
}

#[test]
fn member_cannot_exceed_bounds_that_an_administrator_set_on_any_surface() {
    let instance = Instance::start();
    let (member, bearer, mine) = member(&instance);
    // A day before its expiry, which is long after this test.
    let end = shown(&instance, &mine)["expires_at"].as_str().unwrap().to_owned();
    let start = OffsetDateTime::parse(&end, &Rfc3339).unwrap() - time::Duration::days(1);
    let bounds = json!({
        "ip_allow": ["127.0.0.0/8"],
        "rate_limit": {"limit": 1000, "window_s": 60},
        "not_before": start.format(&Rfc3339).unwrap(),
    });
    call(&instance, &owner(), "PATCH", &rest(&mine, ""), &bounds).expect(200);
    let bound = shown(&instance, &mine);

    let manager = json!({
        "name": "manager", "audiences": ["tessera", "default"], "scopes": ["tokens:write", "rivers:read"],
    });
    let manager = call(&instance, &member, "POST", &tokens_of(WORKSPACE), &manager);
    let manager = by(&manager.expect(201).json());
    let stays = |minted: &Value| {
        for caller in [&member, &manager] {
            for wider in [
                json!({"ip_allow": []}),
                json!({"ip_allow": ["0.0.0.0/0"]}),
                json!({"rate_limit": null}),
                json!({"rate_limit": {"limit": 1001, "window_s": 60}}),
                json!({"not_before": null}),
                json!({"not_before": "2026-01-01T00:00:00Z"}),
            ] {
                let answer = call(&instance, caller, "PATCH", &rest(minted, ""), &wider);
                problem(&answer, 403, "forbidden");
            }
        }
        let now = shown(&instance, minted);
        for field in ["ip_allow", "rate_limit", "not_before"] {
            assert_eq!(now[field], bound[field], "{field}");
        }
    };
    stays(&mine);
    // A copy and a new secret keep the bounds.
    let clone = json!({"name": "copy"});
    let copy = call(&instance, &member, "POST", &rest(&mine, "/clone"), &clone).expect(201).json();
    stays(&copy);
    call(&instance, &member, "POST", &rest(&mine, "/rotate"), &json!({})).expect(201);
    stays(&mine);

    // A token that expires before its start loses the start. No surface gives it another expiry.
    let ids = json!([mine["token"]["id"], copy["token"]["id"]]);
    for action in ["expire", "disable", "enable"] {
        let many = json!({"action": action, "ids": ids});
        call(&instance, &member, "POST", &format!("{}/bulk", tokens_of(WORKSPACE)), &many)
            .expect(200);
    }
    for minted in [&mine, &copy] {
        assert_eq!(shown(&instance, minted)["state"], "expired");
        for (method, operation, body) in [
            ("PATCH", "", json!({"expires_at": "89d"})),
            ("POST", "/rotate", json!({})),
            ("POST", "/clone", json!({"name": "again"})),
        ] {
            let answer = call(&instance, &member, method, &rest(minted, operation), &body);
            problem(&answer, 403, "forbidden");
        }
        for change in [json!({"enabled": true, "expires": NEVER}), json!({"expires": NEVER})] {
            let patch = instance.server.request("PATCH", &kriten(minted)).json(&change);
            patch.bearer(&bearer).send().expect(403);
        }
        let By::Token(manager) = &manager else { unreachable!() };
        instance.server.request("PUT", &devo(minted, "/enable")).bearer(manager).send();
        for (operation, form) in [
            ("edit", vec![("name", "mine"), ("scope", "rivers:read"), ("expires", "30d")]),
            ("rotate", vec![("grace", "0")]),
        ] {
            let request = instance.request(&member, "POST", &console(minted, operation));
            let request = request.header("sec-fetch-site", "same-origin").form(&form);
            assert!(matches!(request.send().status, 303 | 403), "{operation}");
        }
        assert_eq!(shown(&instance, minted)["state"], "expired");
    }
}

#[test]
fn policy_that_shows_secrets_once_applies_on_every_surface() {
    let instance = Instance::start();
    policy(&instance, "reveal=recoverable_allowed");
    let wish = |name: &str| {
        let body = json!({"name": name, "scopes": ["rivers:read"], "recoverable": true});
        instance.minted(WORKSPACE, &body)
    };
    let (kept, rotated) = (wish("kept"), wish("rotated"));
    let devo_token = json!({
        "name": "devo", "audiences": ["tessera", "default"], "expires_at": "never",
        "scopes": ["tokens:write", "tokens:reveal", "rivers:read"],
    });
    let devo_token = by(&instance.minted(WORKSPACE, &devo_token));
    let value = |minted: &Value| {
        let shown = call(&instance, &devo_token, "GET", &devo(minted, ""), &Value::Null);
        shown.expect(200).json().get("token").cloned()
    };
    let by_form = || {
        let request = instance.request(&owner(), "POST", &console(&kept, "reveal"));
        request.header("sec-fetch-site", "same-origin").form(&[]).send()
    };
    assert_eq!(value(&kept).as_ref(), Some(&kept["secret"]));
    assert!(by_form().expect(200).text().contains(secret(&kept)));

    instance.server.run(&["policy", "set", "reveal=once"]).ok();
    let reveal = || call(&instance, &owner(), "POST", &rest(&kept, "/reveal"), &Value::Null);
    problem(&reveal(), 403, "reveal_not_allowed");
    problem(
        &call(&instance, &devo_token, "POST", &rest(&kept, "/reveal"), &Value::Null),
        403,
        "reveal_not_allowed",
    );
    assert!(!by_form().expect(403).text().contains(secret(&kept)));
    let id = kept["token"]["id"].as_str().unwrap();
    let line = instance.server.run(&["token", "reveal", id]).refused(1);
    assert!(line.contains("shows secrets only once"), "{line}");
    assert_eq!(value(&kept), None);
    assert_eq!(shown(&instance, &kept)["recoverable"], false);
    let again = call(&instance, &owner(), "POST", &rest(&rotated, "/rotate"), &Value::Null);
    let again = again.expect(201).json();
    assert_eq!((&again["token"]["recoverable"], value(&rotated)), (&json!(false), None));
    let copies = Sql::on(&instance.server)
        .number("SELECT count(*) FROM token_secrets WHERE sealed IS NOT NULL");
    assert_eq!(copies, 1, "the rotation stored no copy and removed none of another token");

    // The copy that was kept before is usable again once the policy allows it. The rotated secret
    // has none.
    instance.server.run(&["policy", "set", "reveal="]).ok();
    assert_eq!(reveal().expect(200).json()["secret"], kept["secret"]);
    let none = call(&instance, &owner(), "POST", &rest(&rotated, "/reveal"), &Value::Null);
    problem(&none, 409, "not_recoverable");
}

#[test]
fn children_stop_with_their_parent_on_every_surface_that_stops_tokens() {
    let instance = Instance::start();
    let family = |name: &str| {
        let body = json!({
            "name": name, "audiences": ["tessera", "default"], "scopes": ["tokens:write", "rivers:read"],
        });
        let parent = instance.minted(WORKSPACE, &body);
        let child = json!({"name": format!("child of {name}"), "scopes": ["rivers:read"]});
        let child = call(&instance, &by(&parent), "POST", &tokens_of(WORKSPACE), &child);
        (parent, child.expect(201).json())
    };
    let bulk = |body: &Value| {
        call(&instance, &owner(), "POST", &format!("{}/bulk", tokens_of(WORKSPACE)), body)
    };
    let ((one, first), (two, second)) = (family("one"), family("two"));
    let ids = json!([one["token"]["id"], two["token"]["id"]]);
    bulk(&json!({"action": "disable", "ids": ids})).expect(200);
    assert_eq!(code(&instance, &first), "VALID");
    bulk(&json!({"action": "disable", "ids": ids, "children": true})).expect(200);
    assert_eq!([code(&instance, &first), code(&instance, &second)], ["DISABLED", "DISABLED"]);
    bulk(&json!({"action": "delete", "ids": ids, "children": true})).expect(200);
    assert_eq!([code(&instance, &first), code(&instance, &second)], ["REVOKED", "REVOKED"]);
    let refused = bulk(&json!({"action": "enable", "ids": ids, "children": true}));
    let refusal = problem(&refused, 422, "validation_failed");
    assert_eq!(
        fields(&refusal),
        ["children: can be true only when tokens are disabled or deleted"]
    );

    // The instance's policy stops children, and a workspace's preset does not change that.
    instance.server.run(&["policy", "set", "on_parent_end=end"]).ok();
    instance.server.run(&["preset", "apply", "devo", "--workspace", WORKSPACE, "--yes"]).ok();
    let doors: [&dyn Fn(&Value) -> Answer; 5] = [
        &|parent| call(&instance, &owner(), "DELETE", &rest(parent, ""), &Value::Null),
        &|parent| call(&instance, &by(parent), "DELETE", "/api/v1/self", &Value::Null),
        &|parent| {
            let request = instance.server.request("POST", "/oauth2/revoke");
            request.form(&[("token", secret(parent))]).send()
        },
        &|parent| {
            let owner = By::Token(instance.manager.clone());
            call(&instance, &owner, "DELETE", &devo(parent, ""), &Value::Null)
        },
        &|parent| {
            let path = format!("{ROBUST}/{}", parent["token"]["id"].as_str().unwrap());
            call(&instance, &By::Token(instance.manager.clone()), "DELETE", &path, &Value::Null)
        },
    ];
    for (index, stop) in doors.iter().enumerate() {
        let (parent, child) = family(&format!("family {index}"));
        let answer = stop(&parent);
        assert!(matches!(answer.status, 200 | 204), "{index}: {}", answer.text());
        assert_eq!(code(&instance, &child), "REVOKED", "{index}");
    }
    let (parent, child) = family("ended");
    call(&instance, &owner(), "POST", &rest(&parent, "/expire"), &Value::Null).expect(200);
    assert_eq!(code(&instance, &child), "EXPIRED");
    let (parent, child) = family("ended by Kriten");
    assert_eq!(code(&instance, &child), "VALID");
    let past = json!({"expires": "2020-01-01T00:00:00Z"});
    let manager = By::Token(instance.manager.clone());
    call(&instance, &manager, "PATCH", &kriten(&parent), &past).expect(200);
    assert_eq!(code(&instance, &child), "EXPIRED");
}
