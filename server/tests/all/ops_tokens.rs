//! A token's life on the command line.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{Instance, WORKSPACE};
use serde_json::{Value, json};

#[test]
fn commands_change_rotate_and_reveal_a_token() {
    let instance = Instance::start();
    instance.sql(
        "INSERT INTO policies (id, updated_at) SELECT gen_random_uuid(), now()
          WHERE NOT EXISTS (SELECT FROM policies WHERE workspace_id IS NULL);
         UPDATE policies SET reveal = 'recoverable_allowed';",
    );
    let server = &instance.server;
    let json_of = |arguments: &[&str]| -> Value {
        serde_json::from_str(&server.run(arguments).ok()).unwrap()
    };
    let create =
        ["token", "create", "--workspace", WORKSPACE, "--name", "ci", "--scope", "rivers:write"];
    let first =
        server.cli(&create).argument("--recoverable").argument("--tag").argument("team=a=b");
    let first = first.run().ok();
    let list = json_of(&["token", "list", "--workspace", WORKSPACE, "--search", "ci", "--json"]);
    let id = list[0]["id"].as_str().unwrap();
    assert_eq!(list[0]["tags"], json!({"team": "a=b"}));
    assert_eq!(server.run(&["token", "reveal", id]).ok(), first);

    assert_eq!(json_of(&["token", "disable", id, "--json"])["state"], "disabled");
    assert_eq!(json_of(&["token", "enable", id, "--json"])["state"], "active");
    let quiet = server.run(&["token", "disable", id]);
    assert!(quiet.stderr.contains("is disabled"), "{}", quiet.stderr);
    assert_eq!(quiet.ok(), "");
    server.run(&["token", "enable", id]).ok();

    let updated = json_of(&[
        "token",
        "update",
        id,
        "--name",
        "renamed",
        "--scope",
        "rivers:read",
        "--expires-in",
        "never",
        "--ip-allow",
        "10.0.0.0/8",
        "--no-tags",
        "--json",
    ]);
    assert_eq!(updated["name"], "renamed");
    assert_eq!(updated["scopes"], json!(["rivers:read"]));
    assert_eq!((&updated["expires_at"], &updated["tags"]), (&Value::Null, &json!({})));
    assert_eq!(updated["ip_allow"], json!(["10.0.0.0/8"]));
    let line = server.run(&["token", "update", id, "--scope", "teams:read"]).refused(1);
    assert!(line.contains("scopes can only be removed"), "{line}");
    assert_eq!(server.run(&["token", "update", id]).status, 2, "nothing to change");

    let second = server.run(&["token", "rotate", id, "--grace", "1h", "--until-first-use"]);
    assert!(
        !second.stderr.contains("tsr_") && second.stderr.contains("renamed"),
        "{}",
        second.stderr
    );
    let second = second.ok();
    assert!(second.starts_with("tsr_") && second != first, "{second}");
    let shown = server.run(&["token", "show", id]).ok();
    assert!(shown.contains(&domain::token_text::hint(&first)), "{shown}");
    let ended = json_of(&["token", "end-grace", id, "--json"]);
    assert_eq!(ended["grace_until"], Value::Null);
    let third = json_of(&["token", "rotate", id, "--json"]);
    assert_eq!(third["token"]["id"], id);
    assert_eq!(server.run(&["token", "reveal", id]).ok(), third["secret"].as_str().unwrap());

    assert_eq!(json_of(&["token", "expire", id, "--json"])["state"], "expired");
    assert_eq!(server.run(&["token", "rotate", id, "--grace", "soon"]).status, 2);
    server.run(&["token", "delete", id]).ok();
    for command in ["enable", "disable", "expire", "rotate", "end-grace", "reveal"] {
        let line = server.run(&["token", command, id]).refused(1);
        assert!(line.contains("The token doesn't exist"), "{command}: {line}");
    }
}
