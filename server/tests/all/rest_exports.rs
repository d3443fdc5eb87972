//! Transfers in progress when their caller loses the right to them: the server aborts them at the
//! next page, so that the client does not take a part for the whole.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::fmt::Write as _;

use crate::rest_support::{By, Instance, OWNER, WORKSPACE, tokens_of};
use crate::support::{
    http2::{Connection, END_HEADERS, END_STREAM, frame, kind, request_at},
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
    wait::PATIENCE,
};
use serde_json::json;
use tokio::time::Instant;

/// An instance whose lists have many more pages than a server prepares in advance.
fn instance_with_long_lists() -> Instance {
    let instance = Instance::start();
    for part in 0..2 {
        let mut rows = String::new();
        for number in 0..900 {
            let digest = format!("{:064x}", part * 1_000 + number + 1);
            let description = "d".repeat(600);
            let row = json!({"digest": digest, "name": "n", "scopes": ["rivers:run"], "description": description});
            let _ = writeln!(rows, "{row}");
        }
        let import = instance.managing("POST", &format!("{}/import", tokens_of(WORKSPACE)));
        import.header("content-type", "application/jsonl").body(rows).send().expect(201);
    }
    instance.sql(&format!(
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_name, action, subject_name, surface,
                                   request_id, after)
         SELECT now(), w.id, 'operator', '', 'token.create', 'n', 'cli', '', jsonb_build_object('more', repeat('d', 100))
           FROM workspaces w, generate_series(1, 6000) WHERE w.slug = '{WORKSPACE}'"
    ));
    instance
}

/// Reads a list up to the window of 64 KiB, makes the change, and reads the rest. Returns whether
/// the list ended cleanly.
fn arrives_whole(
    instance: &Instance,
    path: &str,
    credential: (&str, &str),
    change: impl FnOnce(),
) -> bool {
    const WINDOW_UPDATE: u8 = 8;
    let mut connection = Connection::open(instance.server.address());
    // Cookies are accepted only on the server's own host.
    let block = request_at(instance.server.address(), "GET", path, &[credential]);
    connection.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &block));
    let first = connection.wait_for(kind::DATA);
    assert_eq!(first.flags & END_STREAM, 0, "{}", String::from_utf8_lossy(&first.payload));
    change();
    for stream in [0, 1] {
        connection.send(&frame(WINDOW_UPDATE, 0, stream, &(1_u32 << 30).to_be_bytes()));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let frame = connection
            .next_before(deadline)
            .unwrap_or_else(|| panic!("{path}: the connection ended"));
        if frame.kind == kind::RST_STREAM {
            return false;
        }
        if frame.kind == kind::DATA && frame.flags & END_STREAM != 0 {
            return true;
        }
    }
}

/// The lists that tokens can read, with the scope that each needs.
fn lists_of_tokens() -> [(String, &'static str); 4] {
    [
        (format!("{}/export", tokens_of(WORKSPACE)), "tokens:read"),
        (format!("/api/v1/workspaces/{WORKSPACE}/audit?format=jsonl"), "audit:read"),
        ("/ws/accounts/workspace-1/credentials/tokens".to_owned(), "tokens:read"),
        ("/api/v1/api_tokens/all".to_owned(), "tokens:read"),
    ]
}

#[test]
fn transfer_is_aborted_when_the_calling_token_is_deleted_or_narrowed() {
    let instance = instance_with_long_lists();
    let owner = By::Session(OWNER.to_owned());
    for (path, scope) in lists_of_tokens() {
        for change in ["nothing", "DELETE", "PATCH"] {
            let draft =
                json!({"name": "reader", "audiences": ["tessera"], "scopes": [scope, "verify"]});
            let reader = instance.minted(WORKSPACE, &draft);
            let bearer = format!("Bearer {}", reader["secret"].as_str().unwrap());
            let token = format!("/api/v1/tokens/{}", reader["token"]["id"].as_str().unwrap());
            let whole = arrives_whole(&instance, &path, ("authorization", &bearer), || {
                let by_owner = instance.request(&owner, change, &token);
                match change {
                    "DELETE" => drop(by_owner.send().expect(204)),
                    "PATCH" => {
                        drop(by_owner.json(&json!({"scopes": ["verify"]})).send().expect(200));
                    }
                    _ => {}
                }
            });
            assert_eq!(whole, change == "nothing", "{change} {path}");
        }
    }
}

#[test]
fn transfer_is_aborted_when_the_callers_session_or_membership_ends() {
    let instance = instance_with_long_lists();
    let log = format!("/api/v1/workspaces/{WORKSPACE}/audit?format=csv");
    for (number, path) in [format!("{}/export", tokens_of(WORKSPACE)), log].iter().enumerate() {
        for change in ["nothing", "sign out", "leave"] {
            let name = format!("{}{number}", change.replace(' ', ""));
            let by = instance.person(&name, "member", Some("admin"));
            let cookie = format!("tessera=session-{name}");
            let whole = arrives_whole(&instance, path, ("cookie", &cookie), || match change {
                "sign out" => {
                    drop(instance.request(&by, "POST", "/sign-out").form(&[]).send().expect(303));
                }
                "leave" => instance.sql(&format!(
                    "DELETE FROM memberships USING users
                      WHERE users.id = user_id AND email = '{name}@example.com'"
                )),
                _ => {}
            });
            assert_eq!(whole, change == "nothing", "{change} {path}");
        }
    }
    // The log of the whole instance, and a session presented like a token.
    let owner = By::Session(OWNER.to_owned());
    let sign_in = json!({"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "provider": "local"});
    let signed_in = instance.server.request("POST", "/api/v1/login").json(&sign_in).send();
    let bearer = format!("Bearer {}", signed_in.expect(200).json()["token"].as_str().unwrap());
    for path in ["/api/v1/api_tokens/all", "/api/v1/audit?format=jsonl"] {
        for change in ["nothing", "sign out"] {
            let credential = if path.starts_with("/api/v1/audit") {
                ("cookie", format!("tessera={OWNER}"))
            } else {
                ("authorization", bearer.clone())
            };
            let whole = arrives_whole(&instance, path, (credential.0, &credential.1), || {
                if change == "sign out" && credential.0 == "cookie" {
                    instance.request(&owner, "POST", "/sign-out").form(&[]).send().expect(303);
                } else if change == "sign out" {
                    instance.request(&owner, "DELETE", "/api/v1/sessions").send().expect(200);
                }
            });
            assert_eq!(whole, change == "nothing", "{change} {path}");
        }
    }
}
