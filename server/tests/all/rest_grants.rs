//! Grants over REST, at the gateways' endpoint and on the command line: each is a scope of one
//! audience.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, problem, tokens_of};
use crate::support::server::ADMIN_EMAIL;
use serde_json::{Value, json};

/// An instance with an API whose scope has the same name as one of Tessera's.
fn with_vault() -> Instance {
    let instance = Instance::start();
    let catalogue = json!({
        "audience": "vault", "name": "Vault", "groups": [{"name": "Tokens", "scopes": [
            {"name": "tokens:write", "description": "Change tokens of the vault"},
            {"name": "rivers:read", "description": "See rivers of the vault"},
        ]}],
    });
    let path = "/api/v1/audiences/vault/catalogue";
    instance.request(&owner(), "PUT", path).json(&catalogue).send().expect(200);
    instance
}

fn owner() -> By {
    By::Session(OWNER.to_owned())
}

fn by(minted: &Value) -> By {
    By::Token(minted["secret"].as_str().unwrap().to_owned())
}

#[test]
fn scope_of_another_audience_has_no_effect_in_tessera() {
    let instance = with_vault();
    let flat = json!({"name": "flat", "audiences": ["vault", "tessera"], "scopes": ["verify", "tokens:write"]});
    let answer = instance.request(&owner(), "POST", &tokens_of(WORKSPACE)).json(&flat).send();
    let refusal = problem(&answer, 422, "validation_failed");
    assert_eq!(refusal["errors"][0]["field"], "scopes");

    let grants = json!({"vault": ["tokens:write"], "tessera": ["verify"]});
    let minted = instance.minted(WORKSPACE, &json!({"name": "client", "grants": grants}));
    let token = &minted["token"];
    assert_eq!(token["grants"], grants);
    assert_eq!(token["audiences"], json!(["tessera", "vault"]));
    assert_eq!(token["scopes"], json!(["tokens:write", "verify"]));
    let manages = json!({"name": "minted", "grants": {"tessera": ["tokens:write"]}});
    let answer =
        instance.request(&by(&minted), "POST", &tokens_of(WORKSPACE)).json(&manages).send();
    problem(&answer, 403, "insufficient_scope");

    let ask = |query: &str| {
        instance.request(&by(&minted), "GET", &format!("/auth/forward?{query}")).send()
    };
    let passed = ask("audience=vault&scope=tokens:write").expect(200);
    assert_eq!(passed.header("x-tessera-scopes"), Some("tokens:write"));
    let passed = ask("audience=tessera&scope=verify").expect(200);
    assert_eq!(passed.header("x-tessera-scopes"), Some("verify"));
    assert_eq!(ask("").expect(200).header("x-tessera-scopes"), Some("tokens:write verify"));
    ask("audience=tessera&scope=tokens:write").expect(403);
    ask("audience=vault&scope=verify").expect(403);

    let secret = minted["secret"].as_str().unwrap();
    let valid =
        instance.verify(&json!({"token": secret, "audience": "vault", "scopes": ["tokens:write"]}));
    assert_eq!((&valid["code"], &valid["grants"]), (&json!("VALID"), &grants));
    let again =
        instance.verify(&json!({"token": secret, "audience": "vault", "scopes": ["tokens:write"]}));
    assert_eq!(again, valid, "from memory, too");
    let refused = instance
        .verify(&json!({"token": secret, "audience": "tessera", "scopes": ["tokens:write"]}));
    assert_eq!(refused["code"], "INSUFFICIENT_SCOPE");
    let known = instance
        .managing("POST", "/oauth2/introspect")
        .form(&[("token", secret)])
        .send()
        .expect(200)
        .json();
    assert_eq!((&known["scope"], &known["grants"]), (&json!("tokens:write verify"), &grants));
}

#[test]
fn grants_shrink_and_tokens_are_found_by_pair() {
    let instance = with_vault();
    let grants = json!({"vault": ["tokens:write", "rivers:read"], "default": ["rivers:read"]});
    let minted = instance.minted(WORKSPACE, &json!({"name": "client", "grants": grants}));
    let path = format!("/api/v1/tokens/{}", minted["token"]["id"].as_str().unwrap());
    let change = |body: Value| instance.request(&owner(), "PATCH", &path).json(&body).send();
    problem(&change(json!({"grants": {"default": ["tokens:write"]}})), 422, "validation_failed");
    problem(
        &change(json!({"grants": {"vault": ["rivers:read"]}, "scopes": ["rivers:read"]})),
        422,
        "validation_failed",
    );
    let changed = change(json!({"scopes": ["rivers:read"]})).expect(200).json();
    assert_eq!(changed["grants"], json!({"default": ["rivers:read"], "vault": ["rivers:read"]}));
    let changed = change(json!({"grants": {"vault": ["rivers:read"]}})).expect(200).json();
    assert_eq!(changed["audiences"], json!(["vault"]));
    let names = |query: &str| {
        let list = instance.request(&owner(), "GET", &format!("{}?{query}", tokens_of(WORKSPACE)));
        let items = list.send().expect(200).json()["items"].clone();
        let names = items.as_array().unwrap().iter().map(|token| token["name"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("audience=vault&scope=rivers:read"), ["client"]);
    assert_eq!(names("audience=default&scope=rivers:read"), ["manager"]);
    assert_eq!(names("audience=vault&scope=tokens:write"), [Value::Null; 0]);
}

#[test]
fn flat_request_holds_each_scope_in_every_audience_that_declares_it() {
    let instance = with_vault();
    let flat = json!({"name": "flat", "audiences": ["vault", "default"], "scopes": ["rivers:read", "rivers:run"]});
    let minted = instance.minted(WORKSPACE, &flat);
    let expected = json!({"default": ["rivers:read", "rivers:run"], "vault": ["rivers:read"]});
    assert_eq!(minted["token"]["grants"], expected);
    let both =
        json!({"name": "both", "grants": {"vault": ["rivers:read"]}, "scopes": ["rivers:read"]});
    let answer = instance.request(&owner(), "POST", &tokens_of(WORKSPACE)).json(&both).send();
    let refusal = problem(&answer, 422, "validation_failed");
    assert_eq!(refusal["errors"][0]["field"], "grants");
}

#[test]
fn import_and_export_contain_pairs() {
    let instance = with_vault();
    let digest = "a".repeat(64);
    let csv = format!("digest,name,grants\n{digest},old,vault/tokens:write tessera/verify\n");
    let path = format!("/api/v1/workspaces/{WORKSPACE}/tokens/import");
    let import = instance.request(&owner(), "POST", &path).header("content-type", "text/csv");
    import.body(csv.as_bytes()).send().expect(201);
    let path = format!("/api/v1/workspaces/{WORKSPACE}/tokens/export?format=csv");
    let exported = instance.request(&owner(), "GET", &path).send().expect(200).text();
    let row = exported.lines().find(|line| line.contains(",old,")).unwrap();
    assert!(row.contains(",tessera/verify vault/tokens:write,"), "{row}");
}

#[test]
fn command_line_accepts_pairs() {
    let instance = with_vault();
    let create = |scopes: &[&str]| {
        let mut arguments = vec!["token", "create", "--workspace", WORKSPACE, "--name", "cli"];
        arguments.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
        instance.server.run(&arguments)
    };
    create(&["vault/tokens:write", "tessera/verify"]).ok();
    create(&["vault/tokens:write", "verify"]).refused(1);
    let listed = instance.request(&owner(), "GET", &tokens_of(WORKSPACE)).send().expect(200).json();
    let grants = json!({"tessera": ["verify"], "vault": ["tokens:write"]});
    assert_eq!(listed["items"][0]["grants"], grants);
    let id = listed["items"][0]["id"].as_str().unwrap();
    instance.server.run(&["token", "update", id, "--scope", "vault/tokens:write"]).ok();
    let path = format!("/api/v1/tokens/{id}");
    let token = instance.request(&owner(), "GET", &path).send().expect(200).json();
    assert_eq!(token["grants"], json!({"vault": ["tokens:write"]}));
}

#[test]
fn exported_pairs_can_be_imported() {
    let instance = with_vault();
    let grants =
        json!({"default": ["rivers:run"], "vault": ["rivers:read", "tokens:write"], "tessera": []});
    instance.minted(WORKSPACE, &json!({"name": "old", "grants": grants}));
    let path = format!("/api/v1/workspaces/{WORKSPACE}/tokens/export?format=csv");
    let exported = instance.request(&owner(), "GET", &path).send().expect(200).text();
    let place = exported.lines().next().unwrap().split(',').position(|name| name == "grants");
    let row = exported.lines().find(|line| line.contains(",old,")).unwrap();
    let cell = row.split(',').nth(place.unwrap()).unwrap();
    let csv = format!("digest,name,grants\n{},new,{cell}\n", "b".repeat(64));
    let path = format!("{}/import", tokens_of(OTHER));
    let import = instance.request(&owner(), "POST", &path).header("content-type", "text/csv");
    let id = import.body(csv).send().expect(201).json()["tokens"][0]["id"].clone();
    let path = format!("/api/v1/tokens/{}", id.as_str().unwrap());
    let token = instance.request(&owner(), "GET", &path).send().expect(200).json();
    assert_eq!(token["grants"], grants);
}

/// On other surfaces, too, a scope of one audience grants nothing in another.
#[test]
fn surfaces_pass_pairs_on() {
    let instance = with_vault();
    let devo = format!("/ws/accounts/{WORKSPACE}/credentials/tokens");
    let of = |id: &Value| {
        let path = format!("/api/v1/tokens/{}", id.as_str().unwrap());
        instance.request(&owner(), "GET", &path).send().expect(200).json()["grants"].clone()
    };
    // A token with this scope of the vault cannot manage Tessera's tokens, on any surface.
    let vault = json!({"vault": ["tokens:write", "rivers:read"], "tessera": ["verify"]});
    let vault = by(&instance.minted(WORKSPACE, &json!({"name": "vault", "grants": vault})));
    let By::Token(key) = &vault else { unreachable!() };
    let new = json!({
        "name": "d", "user": ADMIN_EMAIL, "audience": "vault", "scopes": "tokens:write",
    });
    instance.request(&vault, "POST", &devo).json(&new).send().expect(403);
    let kriten = instance.server.request("POST", "/api/v1/api_tokens").header("Token", key);
    kriten.json(&json!({})).send().expect(403);
    let robust = instance.server.request("POST", "/v1/users/api-tokens");
    robust.header("rime-api-key", key).json(&json!({"name": "r"})).send().expect(403);

    // A token with Tessera's scope passes its scopes on in the audiences in which it has them.
    let grants = json!({
        "vault": ["rivers:read"], "default": ["rivers:run"], "tessera": ["tokens:write"],
    });
    let caller = by(&instance.minted(WORKSPACE, &json!({"name": "caller", "grants": grants})));
    let By::Token(key) = &caller else { unreachable!() };
    for (audience, scopes, status) in [
        ("vault", "tokens:write", 400),
        ("default", "rivers:read", 400),
        ("vault tessera", "tokens:write", 400),
        ("vault default", "rivers:read", 400),
        ("vault", "rivers:read", 200),
    ] {
        let new = json!({
            "name": "d", "user": ADMIN_EMAIL, "audience": audience, "scopes": scopes,
        });
        let answer = instance.request(&caller, "POST", &devo).json(&new).send().expect(status);
        if status == 200 {
            let secret = answer.json()["token"].clone();
            let known = instance.verify(&json!({"token": secret}));
            assert_eq!(known["grants"], json!({"vault": ["rivers:read"]}));
        }
    }
    let robust = instance.server.request("POST", "/v1/users/api-tokens");
    let made = robust.header("rime-api-key", key).json(&json!({"name": "r"})).send();
    let full = json!({
        "vault": ["rivers:read"], "default": ["rivers:run"], "tessera": ["tokens:write"],
    });
    assert_eq!(of(&made.expect(200).json()["id"]["uuid"]), full);
    let kriten = instance.server.request("POST", "/api/v1/api_tokens").header("Token", key);
    let made = kriten.json(&json!({})).send().expect(200).json();
    let two = json!({"default": ["rivers:run"], "tessera": ["tokens:read", "tokens:write"]});
    assert_eq!(of(&made["id"]), two);
}

#[test]
fn doctor_reports_every_undecided_scope_of_version_0_1() {
    let instance = with_vault();
    let grants = json!({"vault": ["rivers:read"], "tessera": ["verify"]});
    let minted = instance.minted(WORKSPACE, &json!({"name": "old", "grants": grants}));
    let id = minted["token"]["id"].as_str().unwrap();
    let lines = || {
        let text = instance.server.run(&["doctor"]).stdout;
        let about = |line: &&str| line.split_whitespace().nth(1) == Some("scopes");
        text.lines().filter(about).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines().len(), 1);
    assert!(lines()[0].starts_with("ok") && lines()[0].contains("each belongs to one audience"));
    // As a 0.1 server writes it.
    instance.sql(&format!(
        "UPDATE tokens SET scopes = '{{gone:scope,tokens:write,verify}}' WHERE id = '{id}';
         UPDATE token_audiences SET scopes = NULL WHERE token_id = '{id}';"
    ));
    // A change of a catalogue parses the scopes that were not parsed yet.
    let scope = json!({"name": "keys:read", "description": "See keys", "group": "Keys"});
    let path = "/api/v1/audiences/vault/scopes";
    instance.request(&owner(), "POST", path).json(&scope).send().expect(201);
    let reported = lines();
    assert_eq!(reported.len(), 2, "{reported:?}");
    for (scope, why) in [
        ("gone:scope", "none of the token's audiences declares this scope, so it has no effect"),
        (
            "tokens:write",
            "both tessera and another of the token's audiences declare this scope, so it has no \
             effect for tessera",
        ),
    ] {
        let line = format!("{scope} of token old ({id}) in {WORKSPACE}: {why};");
        let line = reported.iter().find(|reported| reported.contains(&line));
        assert!(line.is_some_and(|line| line.starts_with("warn")), "{reported:?}");
    }
    let path = format!("/api/v1/tokens/{id}");
    let token = instance.request(&owner(), "GET", &path).send().expect(200).json();
    assert_eq!(token["grants"], json!({"tessera": ["verify"], "vault": ["tokens:write"]}));
    // Sending the existing grants settles them.
    let settle = json!({"grants": token["grants"]});
    instance.request(&owner(), "PATCH", &path).json(&settle).send().expect(200);
    assert!(lines()[0].starts_with("ok"), "{:?}", lines());
}

#[test]
fn doctor_reports_grants_that_match_tessera_and_another_audience() {
    let instance = with_vault();
    instance.person("mem", "member", Some("member"));
    let line = || {
        let text = instance.server.run(&["doctor"]).stdout;
        let about = |line: &&str| line.split_whitespace().nth(1) == Some("grants");
        text.lines().find(about).unwrap().to_owned()
    };
    assert!(line().starts_with("ok"), "{}", line());
    instance.sql("UPDATE memberships SET grants = '{rivers:read,tokens:*}' WHERE role = 'member'");
    let expected = format!(
        "tokens:* of mem@example.com in {WORKSPACE} matches scopes of both tessera and vault"
    );
    assert!(line().starts_with("warn") && line().contains(&expected), "{}", line());
}
