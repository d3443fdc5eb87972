//! Shares of the database connections: requests count for the workspace of their caller, whatever
//! workspace their path names.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::thread;

use crate::rest_support::{By, Instance, OTHER, OWNER, Sql, WORKSPACE, draft, tokens_of};
use crate::support::{server::ADMIN_EMAIL, wait::until};
use serde_json::{Value, json};

/// The connections of one party at a time: half of the default of `database_max_connections`.
const SHARE: i64 = 5;
/// Tessera's statements that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

fn owner() -> By {
    By::Session(OWNER.to_owned())
}

/// An instance whose workspaces have a token limit, so that creations wait for the workspace's row.
fn start() -> Instance {
    let instance = Instance::start();
    instance.sql(
        "UPDATE policies SET max_tokens = 1000, version = version + 1 WHERE workspace_id IS NOT NULL;
         INSERT INTO policies (id, workspace_id, max_tokens, updated_at)
         SELECT gen_random_uuid(), id, 1000, now() FROM workspaces w
          WHERE NOT EXISTS (SELECT FROM policies p WHERE p.workspace_id = w.id)",
    );
    instance
}

/// An administrator of a workspace, and their `Bearer` credential for Kriten's API.
fn admin_of(instance: &Instance, workspace: &str, name: &str) -> (By, String) {
    let by = instance.person(name, "member", None);
    let bearer = format!("{name:A<43}");
    instance.sql(&format!(
        "INSERT INTO memberships (workspace_id, user_id, role, created_at)
         SELECT w.id, u.id, 'admin', now() FROM workspaces w, users u
          WHERE w.slug = '{workspace}' AND u.email = '{name}@example.com';
         INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
         SELECT sha256('{bearer}'), id, now(), now(), now() + interval '1 hour'
           FROM users WHERE email = '{name}@example.com'"
    ));
    (by, bearer)
}

/// A token that manages the tokens of a workspace.
fn manager_of(instance: &Instance, workspace: &str, user: &str) -> Value {
    let draft = json!({
        "name": "managing", "user": user, "audiences": ["tessera", "default"],
        "scopes": ["tokens:read", "tokens:write", "rivers:run"], "expires_at": "never",
    });
    instance.minted(workspace, &draft)
}

/// Runs requests of a workspace whose row is locked, and runs `others` as soon as these requests
/// have all the connections they can get. Returns the statuses of the requests, and the maximum
/// number of connections that they had at a time.
fn while_they_wait<'a>(
    instance: &Instance,
    workspace: &str,
    requests: Vec<Box<dyn FnOnce() -> u16 + Send + 'a>>,
    others: impl FnOnce(&mut dyn FnMut()),
) -> (Vec<u16>, i64) {
    let (mut hold, mut look) = (Sql::on(&instance.server), Sql::on(&instance.server));
    hold.run(&format!("BEGIN; SELECT FROM workspaces WHERE slug = '{workspace}' FOR UPDATE"));
    thread::scope(|scope| {
        let requests: Vec<_> = requests.into_iter().map(|one| scope.spawn(one)).collect();
        until("requests that wait", || (look.number(WAITING) >= SHARE).then_some(()));
        let mut most = 0;
        others(&mut || most = most.max(look.number(WAITING)));
        hold.run("COMMIT");
        (requests.into_iter().map(|one| one.join().unwrap()).collect(), most)
    })
}

#[test]
fn workspace_has_one_share_on_all_paths() {
    let instance = start();
    let (_, session) = admin_of(&instance, OTHER, "evan");
    let (second, second_session) = admin_of(&instance, OTHER, "eve");
    let (member, _) = admin_of(&instance, WORKSPACE, "mia");
    let minted = manager_of(&instance, OTHER, "eve@example.com");
    let id = minted["token"]["id"].as_str().unwrap().to_owned();
    let token = By::Token(minted["secret"].as_str().unwrap().to_owned());
    let kriten = json!({"description": "made", "enabled": true, "expires": null});
    let instance = &instance;
    let mut requests: Vec<Box<dyn FnOnce() -> u16 + Send>> = Vec::new();
    for _ in 0..3 {
        let (token, kriten, id) = (&token, &kriten, &id);
        let (session, second_session, second) = (&session, &second_session, &second);
        requests.push(Box::new(move || {
            instance.request(token, "POST", &tokens_of(OTHER)).json(&draft("made")).send().status
        }));
        requests.push(Box::new(move || {
            let path = format!("/api/v1/tokens/{id}/clone");
            instance.request(second, "POST", &path).json(&json!({"name": "made"})).send().status
        }));
        for bearer in [session, second_session] {
            requests.push(Box::new(move || {
                let create = instance.server.request("POST", "/api/v1/api_tokens").bearer(bearer);
                create.json(kriten).send().status
            }));
        }
    }
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    let (statuses, most) = while_they_wait(instance, OTHER, requests, |look| {
        for _ in 0..20 {
            instance.request(&member, "GET", &members).send().expect(200);
            instance.request(&owner(), "GET", "/api/v1/users").send().expect(200);
            look();
        }
    });
    assert_eq!(most, SHARE);
    assert!(statuses.iter().all(|status| [200, 201, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status < 300).count() >= 5, "{statuses:?}");
}

#[test]
fn request_does_not_count_for_a_workspace_unrelated_to_its_caller() {
    let instance = start();
    let (stranger, _) = admin_of(&instance, OTHER, "eve");
    let nowhere = instance.person("nina", "member", None);
    let token = By::Token(
        manager_of(&instance, WORKSPACE, ADMIN_EMAIL)["secret"].as_str().unwrap().to_owned(),
    );
    let foreign = By::Token(
        manager_of(&instance, OTHER, "eve@example.com")["secret"].as_str().unwrap().to_owned(),
    );
    let instance = &instance;
    let create = |by: &By, workspace: &str| {
        instance.request(by, "POST", &tokens_of(workspace)).json(&draft("made")).send().status
    };
    // The workspace has used up its connections. Requests by outsiders do not wait for one of them,
    // nor do those by administrators of the instance.
    let requests: Vec<Box<dyn FnOnce() -> u16 + Send>> =
        (0..SHARE).map(|_| Box::new(|| create(&token, WORKSPACE)) as _).collect();
    let members = format!("/api/v1/workspaces/{WORKSPACE}/members");
    let (statuses, _) = while_they_wait(instance, WORKSPACE, requests, |look| {
        for by in [&stranger, &nowhere, &foreign] {
            instance.request(by, "GET", &members).send().expect(404);
            assert_eq!(create(by, WORKSPACE), 404);
        }
        instance.request(&owner(), "GET", &members).send().expect(200);
        assert_eq!(create(&stranger, OTHER), 201);
        look();
    });
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
}
