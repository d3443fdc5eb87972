//! Users of the instance and members of workspaces over REST.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{
    By, Instance, OTHER, OWNER, WORKSPACE, draft, fields, problem, tokens_of,
};
use crate::support::Request;
use serde_json::{Value, json};

fn owner(instance: &Instance, method: &str, path: &str) -> Request {
    instance.request(&By::Session(OWNER.to_owned()), method, path)
}

fn person(instance: &Instance, email: &str) -> Value {
    let body = json!({"email": email, "password": "violet kettle drums outside"});
    owner(instance, "POST", "/api/v1/users").json(&body).send().expect(201).json()
}

#[test]
fn user_is_created_changed_and_removed_by_version() {
    let instance = Instance::start();
    let made = person(&instance, "grace@example.com");
    let path = format!("/api/v1/users/{}", made["id"].as_str().unwrap());
    assert_eq!(made["kind"], "person");
    assert_eq!(made["instance_role"], "member");
    assert!(made.get("password").is_none());
    let shown = owner(&instance, "GET", &path).send().expect(200);
    assert_eq!(shown.json(), made);
    let tag = shown.header("etag").unwrap().to_owned();
    let change = |tag: &str, body: &Value| {
        owner(&instance, "PATCH", &path).header("if-match", tag).json(body).send()
    };
    let changed = change(&tag, &json!({"name": "Grace Hopper"})).expect(200);
    assert_eq!(changed.json()["name"], "Grace Hopper");
    assert_ne!(changed.header("etag"), Some(&*tag));
    problem(&change(&tag, &json!({"name": "x"})), 412, "precondition_failed");
    problem(&change("W/\"2\"", &json!({"name": "x"})), 412, "precondition_failed");

    // The user's token stops with the user, and the response reports it.
    let body = json!({"user": "grace@example.com", "role": "member"});
    owner(&instance, "POST", &format!("/api/v1/workspaces/{WORKSPACE}/members"))
        .json(&body)
        .send()
        .expect(201);
    let mut wanted = draft("hers");
    wanted["user"] = json!("grace@example.com");
    let token = instance.mint(WORKSPACE, &wanted);
    let disabled = change("*", &json!({"enabled": false})).expect(200).json();
    assert_eq!((&disabled["enabled"], &disabled["stopped_tokens"]), (&json!(false), &json!(1)));
    let refused = instance.request(&By::Token(token), "GET", "/api/v1/self").send();
    problem(&refused, 401, "invalid_token");
    let list = owner(&instance, "GET", &format!("{}?q=grace@example.com", tokens_of(WORKSPACE)))
        .send()
        .expect(200)
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "the removal waits for another owner");

    let removed = owner(&instance, "DELETE", &path).send().expect(200).json();
    assert_eq!(removed["stopped_tokens"], 0, "the token was stopped before");
    problem(&owner(&instance, "GET", &path).send(), 404, "not_found");
    let again = json!({"kind": "service", "email": "grace@example.com"});
    problem(&owner(&instance, "POST", "/api/v1/users").json(&again).send(), 409, "already_exists");
}

#[test]
fn known_secrets_are_disabled_with_their_holder_and_kept_on_request() {
    let instance = Instance::start();
    let lead = instance.person("lead", "member", Some("admin"));
    instance.person("memb", "member", Some("admin"));
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    let list = owner(&instance, "GET", &members).send().expect(200).json();
    let path_of = |email: &str| {
        let items = list["items"].as_array().unwrap();
        let member = items.iter().find(|member| member["user"]["email"] == email).unwrap();
        (format!("{members}/{}", member["user"]["id"].as_str().unwrap()), member.clone())
    };
    let (lead_path, of_lead) = path_of("lead@example.com");
    let mint = |name: &str| {
        let body = json!({
            "name": name, "user": "memb@example.com", "grants": {"tessera": ["members:write"]},
        });
        let made = instance.request(&lead, "POST", &tokens_of(WORKSPACE)).json(&body).send();
        made.expect(201).json()
    };
    let first = mint("first");
    let change = |body: &Value| owner(&instance, "PATCH", &lead_path).json(body).send();
    let kept = json!({"role": "viewer", "known_secrets": "keep"});
    assert_eq!(change(&kept).expect(200).json()["disabled_tokens"], 0);
    change(&json!({"role": "admin"})).expect(200);
    assert_eq!(change(&json!({"role": "viewer"})).expect(200).json()["disabled_tokens"], 1);
    let shown = format!("/api/v1/tokens/{}", first["token"]["id"].as_str().unwrap());
    let shown = owner(&instance, "GET", &shown).send().expect(200).json();
    assert_eq!(
        (&shown["enabled"], &shown["disabled_by"]["standing"]),
        (&json!(false), &json!("administrator"))
    );

    change(&json!({"role": "admin"})).expect(200);
    let second = mint("second");
    // A token can be given to an owner only after a rotation.
    let token = format!("/api/v1/tokens/{}", second["token"]["id"].as_str().unwrap());
    let to_owner = json!({"user": "ada@example.com"});
    let refused = owner(&instance, "PATCH", &token).json(&to_owner).send();
    let refused = fields(&problem(&refused, 422, "validation_failed"));
    assert!(refused[0].starts_with("user: cannot be this user yet"), "{refused:?}");
    assert!(refused[0].contains("Rotate the token without a grace period"), "{refused:?}");
    let remove = |query: &str| owner(&instance, "DELETE", &format!("{lead_path}{query}")).send();
    let refused = fields(&problem(&remove("?known_secrets=forget"), 422, "validation_failed"));
    assert_eq!(refused, ["known_secrets: must be disable or keep"]);
    let removed = remove("?known_secrets=keep").expect(200).json();
    assert_eq!(removed, json!({"stopped_tokens": 0, "disabled_tokens": 0}));
    let user = format!("/api/v1/users/{}", of_lead["user"]["id"].as_str().unwrap());
    let removed = owner(&instance, "DELETE", &user).send().expect(200).json();
    let expected = json!({"stopped_tokens": 0, "disabled_tokens": 1, "ended_passwords": []});
    assert_eq!(removed, expected);
    owner(&instance, "POST", &format!("{token}/rotate")).json(&json!({})).send().expect(201);
    owner(&instance, "PATCH", &token).json(&to_owner).send().expect(200);
}

#[test]
fn last_owner_cannot_be_removed() {
    let instance = Instance::start();
    let users = owner(&instance, "GET", "/api/v1/users?q=ada").send().expect(200).json();
    let path = format!("/api/v1/users/{}", users["items"][0]["id"].as_str().unwrap());
    problem(&owner(&instance, "DELETE", &path).send(), 409, "last_owner");
    for change in [json!({"enabled": false}), json!({"instance_role": "admin"})] {
        problem(&owner(&instance, "PATCH", &path).json(&change).send(), 409, "last_owner");
    }
}

#[test]
fn users_are_listed_in_pages_and_bad_queries_name_the_parameter() {
    let instance = Instance::start();
    for name in ["a", "b", "c"] {
        instance.person(name, "member", None);
    }
    let list = |query: &str| owner(&instance, "GET", &format!("/api/v1/users?{query}")).send();
    let first = list("limit=3").expect(200).json();
    let second =
        list(&format!("limit=3&cursor={}", first["next"].as_str().unwrap())).expect(200).json();
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    assert_eq!(list("kind=service&enabled=true").expect(200).json()["items"], json!([]));
    for (query, expected) in [
        ("kind=robot", "kind: must be person or service"),
        ("enabled=yes", "enabled: must be true or false"),
        ("limit=0", "limit: must be 1 to 200"),
        ("cursor=!", "cursor: must be the `next` value of a page of this list"),
    ] {
        assert_eq!(fields(&problem(&list(query), 422, "validation_failed")), [expected]);
    }
}

#[test]
fn invalid_values_are_reported() {
    let instance = Instance::start();
    let create = |body: &Value| owner(&instance, "POST", "/api/v1/users").json(body).send();
    for (body, expected) in [
        (
            json!({"email": "a@x", "password": ""}),
            "password: must have at least 15 characters; this has 0",
        ),
        (json!({"email": "a@x", "kind": "robot"}), "kind: must be one of person or service"),
        (
            json!({"email": "a@x", "admin": true}),
            "admin: is not a known field; known fields are kind, email, name, instance_role, \
             password",
        ),
        (
            json!({"email": "a@x", "kind": "service", "password": "x"}),
            "password: must be omitted: a service account never signs in",
        ),
    ] {
        assert_eq!(fields(&problem(&create(&body), 422, "validation_failed")), [expected]);
    }
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    let body = json!({"user": "nobody@example.com", "role": "member", "grants": ["riv*"]});
    let refused = owner(&instance, "POST", &members).json(&body).send();
    assert_eq!(
        fields(&problem(&refused, 422, "validation_failed")),
        [
            "grants[0]: must be *, a prefix such as rivers:*, or a scope such as rivers:read, with an optional audience in front, as in default/rivers:*"
        ]
    );
}

#[test]
fn null_grants_differ_from_absent_grants() {
    let instance = Instance::start();
    let made = person(&instance, "grace@example.com");
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    let body = json!({"user": made["id"], "role": "member", "grants": ["rivers:*"]});
    let added = owner(&instance, "POST", &members).json(&body).send().expect(201);
    let path = added.header("location").unwrap().to_owned();
    assert_eq!(path, format!("{members}/{}", made["id"].as_str().unwrap()));
    let change =
        |body: &Value| owner(&instance, "PATCH", &path).json(body).send().expect(200).json();
    assert_eq!(change(&json!({"role": "admin"}))["grants"], json!(["rivers:*"]));
    assert_eq!(change(&json!({"grants": null}))["grants"], Value::Null);
    assert_eq!(change(&json!({"grants": []}))["grants"], json!([]));
    problem(&owner(&instance, "POST", &members).json(&body).send(), 409, "already_exists");
    let list = owner(&instance, "GET", &members).send().expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let removed = owner(&instance, "DELETE", &path).header("if-match", "\"4\"").send().expect(200);
    assert_eq!(removed.json()["stopped_tokens"], 0);
    problem(&owner(&instance, "GET", &path).send(), 404, "not_found");
}

#[test]
fn workspace_administrator_invites_and_person_accepts_or_declines() {
    let instance = Instance::start();
    let lead = instance.person("lead", "member", Some("admin"));
    let grace = instance.person("grace", "member", None);
    let ada = By::Session(OWNER.to_owned());
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    let invitations = format!("/api/v1/workspaces/{WORKSPACE}/invitations");
    let invite = |user: &str| {
        let body = json!({"user": user, "role": "member", "grants": ["rivers:*"]});
        instance.request(&lead, "POST", &members).json(&body).send()
    };
    let invited = invite("Grace@example.com").expect(202).json();
    let id = invited["id"].as_str().unwrap().to_owned();
    let unknown = invite("nobody@example.com").expect(202).json();
    for (key, value) in invited.as_object().unwrap() {
        if !["id", "email", "created_at", "expires_at"].contains(&key.as_str()) {
            assert_eq!(&unknown[key], value, "{key} tells who is a user");
        }
    }
    let users = owner(&instance, "GET", "/api/v1/users?q=grace").send().expect(200).json();
    assert_eq!(
        fields(&problem(
            &invite(users["items"][0]["id"].as_str().unwrap()),
            422,
            "validation_failed"
        )),
        ["user: must be an e-mail address: only instance administrators can add users by id"]
    );
    let list = instance.request(&lead, "GET", &invitations).send().expect(200).json();
    assert_eq!(list["items"], json!([unknown, invited]));

    let own = instance.request(&grace, "GET", "/api/v1/invitations").send().expect(200).json();
    assert_eq!(own, json!({"items": [invited], "next": null}));
    let accept = format!("/api/v1/invitations/{id}/accept");
    problem(&instance.request(&ada, "POST", &accept).send(), 404, "not_found");
    let mut named = draft("hers");
    named["user"] = json!("grace@example.com");
    let make = || instance.request(&lead, "POST", &tokens_of(WORKSPACE)).json(&named).send();
    problem(&make(), 422, "validation_failed");
    assert_eq!(instance.request(&grace, "POST", &accept).send().expect(200).json(), invited);
    make().expect(201);
    problem(&instance.request(&grace, "POST", &accept).send(), 404, "not_found");
    problem(&invite("grace@example.com"), 409, "already_exists");

    // The command line lists and revokes the remaining invitation.
    let listed = instance.server.run(&["invitation", "list", "--workspace", WORKSPACE, "--json"]);
    let listed: Value = serde_json::from_str(&listed.ok()).unwrap();
    assert_eq!(listed[0]["email"], "nobody@example.com");
    let id = unknown["id"].as_str().unwrap();
    instance.server.run(&["invitation", "revoke", id, "--workspace", WORKSPACE]).ok();
    let again = instance.request(&lead, "DELETE", &format!("{invitations}/{id}")).send();
    problem(&again, 404, "not_found");
    let renewed = invite("nobody@example.com").expect(202).json();
    let path = format!("{invitations}/{}", renewed["id"].as_str().unwrap());
    instance.request(&lead, "DELETE", &path).send().expect(204);
    let list = instance.request(&lead, "GET", &invitations).send().expect(200).json();
    assert_eq!(list["items"], json!([]));
}

/// An administrator of one workspace creates tokens that act as a colleague, who administers
/// another one.
#[test]
fn invitation_by_a_token_does_not_count_for_its_owner_and_names_its_creator() {
    let instance = Instance::start();
    let colleague = instance.person("wsa", "member", Some("admin"));
    let eve = instance.person("eve", "member", None);
    let grace = instance.person("grace", "member", None);
    instance.sql(&format!(
        "INSERT INTO memberships (workspace_id, user_id, role, created_at)
         SELECT w.id, u.id, 'admin', now() FROM workspaces w, users u
          WHERE w.slug = '{OTHER}' AND u.email IN ('wsa@example.com', 'eve@example.com')"
    ));
    let mint = |by: &By, name: &str, user: &str| {
        let body = json!({
            "name": name, "user": user,
            "grants": {"tessera": ["members:write", "tokens:write", "workspaces:read"]},
        });
        let made = instance.request(by, "POST", &tokens_of(OTHER)).json(&body).send();
        made.expect(201).json()["secret"].as_str().unwrap().to_owned()
    };
    let invite = |by: &By, workspace: &str, email: &str| {
        let body = json!({"user": email, "role": "member", "grants": []});
        let path = format!("/api/v1/workspaces/{workspace}/members");
        instance.request(by, "POST", &path).json(&body).send()
    };
    let first = By::Token(mint(&eve, "first", "wsa@example.com"));
    let second = By::Token(mint(&first, "second", "wsa@example.com"));
    for number in 0..49 {
        invite(&first, OTHER, &format!("nobody-{number}@example.com")).expect(202);
    }
    let sent = invite(&second, OTHER, "grace@example.com").expect(202).json();
    let check_sender = |invitation: &Value| {
        let token = &invitation["token"];
        assert_eq!(invitation["invited_by"]["email"], "wsa@example.com");
        assert_eq!(
            (&token["name"], &token["made_by"]["email"]),
            (&json!("second"), &json!("eve@example.com"))
        );
    };
    check_sender(&sent);
    let own = instance.request(&grace, "GET", "/api/v1/invitations").send().expect(200).json();
    check_sender(&own["items"][0]);
    for token in [&first, &second, &By::Token(mint(&eve, "third", "eve@example.com"))] {
        let refused = problem(&invite(token, OTHER, "one@example.com"), 429, "rate_limited");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with("The tokens of this workspace sent 50 invitations"), "{detail}");
    }
    // Other inviters are not affected.
    for by in [&colleague, &eve] {
        let sent = invite(by, OTHER, "one@example.com").expect(202).json();
        assert_eq!(sent["token"], Value::Null);
    }
    invite(&colleague, WORKSPACE, "one@example.com").expect(202);
    let token = json!({"name": "t", "grants": {"tessera": ["members:write", "tokens:write"]}});
    let token = instance.request(&colleague, "POST", &tokens_of(WORKSPACE)).json(&token).send();
    let token = By::Token(token.expect(201).json()["secret"].as_str().unwrap().to_owned());
    invite(&token, WORKSPACE, "two@example.com").expect(202);
}

#[test]
fn workspace_is_created_and_renamed() {
    let instance = Instance::start();
    let body = json!({"name": "New Rivers"});
    let made = owner(&instance, "POST", "/api/v1/workspaces").json(&body).send().expect(201);
    assert_eq!(made.header("location"), Some("/api/v1/workspaces/new-rivers"));
    assert_eq!((&made.json()["role"], &made.json()["quota"]), (&json!("admin"), &Value::Null));
    problem(
        &owner(&instance, "POST", "/api/v1/workspaces").json(&body).send(),
        409,
        "already_exists",
    );
    let rename = |tag: &str| {
        let request = owner(&instance, "PATCH", "/api/v1/workspaces/new-rivers");
        request.header("if-match", tag).json(&json!({"name": "Old Rivers"})).send()
    };
    let renamed = rename("\"1\"").expect(200);
    assert_eq!(
        (&renamed.json()["name"], renamed.header("etag")),
        (&json!("Old Rivers"), Some("\"2\""))
    );
    problem(&rename("\"1\""), 412, "precondition_failed");
}
