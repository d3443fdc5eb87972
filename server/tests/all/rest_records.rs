//! The audit log, usage counts, imports and exports, over REST and on the command line.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use std::fs;

use crate::rest_support::{By, Instance, OWNER, WORKSPACE, draft, fields, problem, tokens_of};
use crate::support::Answer;
use serde_json::{Value, json};

/// SHA-256 of "test".
const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

impl Instance {
    fn owner(&self, method: &str, path: &str) -> crate::support::Request {
        self.request(&By::Session(OWNER.into()), method, path)
    }

    fn import(&self, query: &str, kind: &str, file: &str) -> Answer {
        let path = format!("{}/import{query}", tokens_of(WORKSPACE));
        self.managing("POST", &path).header("content-type", kind).body(file).send()
    }
}

#[test]
fn audit_log_is_read_page_by_page_and_as_a_file() {
    let instance = Instance::start();
    for name in ["a", "=b", "c,\"d\""] {
        instance.create(&draft(name)).expect(201);
    }
    let log = format!("/api/v1/workspaces/{WORKSPACE}/audit");
    let page =
        instance.owner("GET", &format!("{log}?action=token&limit=3")).send().expect(200).json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items[0]["subject_name"], "c,\"d\"");
    assert_eq!(items[0]["actor_kind"], "token");
    assert_eq!(items[0]["surface"], "rest");
    assert_eq!(items[0]["after"]["scopes"], json!(["rivers:run"]));
    let next = page["next"].as_str().unwrap();
    let rest = instance.owner("GET", &format!("{log}?action=token&cursor={next}")).send().json();
    assert_eq!(rest["items"][0]["subject_name"], "manager");
    assert_eq!(rest["next"], Value::Null);

    let csv = instance.owner("GET", &log).header("accept", "text/csv").send().expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=\"audit-workspace-1.csv\"")
    );
    let text = csv.text();
    assert!(text.starts_with("id,at,workspace,actor_kind,"));
    assert!(text.contains(",\"'=b\",") && text.contains(",\"c,\"\"d\"\"\","), "{text}");
    let jsonl = instance.owner("GET", "/api/v1/audit?format=jsonl").send().expect(200).text();
    let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        rows.iter().any(|row| row["action"] == "instance.set_up" && row["workspace"].is_null())
    );
    for (query, expected) in [
        ("limit=0", "limit: must be 1 to 200"),
        (
            "since=yesterday",
            "since: must be a time such as 2027-08-18T12:00:00Z or a date such as 2027-08-18",
        ),
        ("format=xml", "format: must be json, csv or jsonl"),
        ("cursor=x", "cursor: must be the `next` value of a page of this list"),
    ] {
        let answer = instance.owner("GET", &format!("{log}?{query}")).send();
        assert_eq!(fields(&problem(&answer, 422, "validation_failed")), [expected]);
    }
}

#[test]
fn export_longer_than_a_page_is_complete() {
    let instance = Instance::start();
    let rows: String = (0..900)
        .map(|number| format!("{}{:04}\tx\n", &TEST[..60], number))
        .map(|row| row.split('\t').next().unwrap().to_owned())
        .map(|digest| {
            json!({"digest": digest, "name": "n", "scopes": ["rivers:run"]}).to_string() + "\n"
        })
        .collect();
    assert!(rows.len() > 65_536);
    instance.import("", "application/jsonl", &rows).expect(201);
    let more = rows.replace(&TEST[..8], "00000000");
    instance.import("", "application/x-ndjson; charset=utf-8", &more).expect(201);
    let export =
        instance.owner("GET", &format!("{}/export", tokens_of(WORKSPACE))).send().expect(200);
    assert_eq!(export.text().lines().count(), 1801);
    let log = format!("/api/v1/workspaces/{WORKSPACE}/audit?format=csv");
    let log = instance.owner("GET", &log).send().expect(200).text();
    assert!(log.lines().count() > 1801 && log.ends_with("\r\n"));
    let ends = instance.server.run(&["audit", "verify"]).ok();
    assert_eq!(ends.lines().count(), 3);
}

#[test]
fn imported_token_works_with_its_old_secret() {
    let instance = Instance::start();
    let file = format!("digest,name,scopes,expires_at\r\n{TEST},legacy,rivers:run,30d\r\n");
    let answer = instance.import("?dry_run=true", "text/csv", &file).expect(200).json();
    assert_eq!(
        answer,
        json!({"dry_run": true, "tokens": [{"row": 1, "id": null, "name": "legacy"}]})
    );
    let refused = instance.request(&By::Token("test".into()), "GET", "/api/v1/self").send();
    problem(&refused, 401, "invalid_token");
    let answer = instance.import("", "text/csv", &file).expect(201).json();
    let id = answer["tokens"][0]["id"].as_str().unwrap();
    let own = instance.request(&By::Token("test".into()), "GET", "/api/v1/self").send().expect(200);
    assert_eq!(own.json()["id"], id);
    let taken = problem(&instance.import("", "text/csv", &file), 422, "validation_failed");
    assert_eq!(
        fields(&taken),
        ["rows[1].digest: belongs to an existing or deleted token of this workspace"]
    );
    instance.managing("DELETE", &format!("/api/v1/tokens/{id}")).send().expect(204);
    problem(&instance.import("", "text/csv", &file), 422, "validation_failed");
    problem(&instance.import("", "text/plain", &file), 415, "unsupported_media_type");
    problem(&instance.import("?dry_run=1", "text/csv", &file), 422, "validation_failed");
    let large = "x".repeat(1024 * 1024 + 1);
    problem(&instance.import("", "text/csv", &large), 413, "payload_too_large");
}

#[test]
fn uses_are_counted_and_reported_with_address_and_agent() {
    let instance = Instance::start();
    let minted = instance.minted(WORKSPACE, &draft("busy"));
    let id = minted["token"]["id"].as_str().unwrap();
    let secret = minted["secret"].as_str().unwrap();
    let usage = || {
        let path = format!("/api/v1/tokens/{id}/usage?hours=2");
        instance.managing("GET", &path).send().expect(200).json()
    };
    let empty = usage();
    assert_eq!((&empty["allowed"], &empty["refused_total"]), (&json!([0, 0]), &json!(0)));
    for scope in ["rivers:run", "rivers:run", "teams:read"] {
        let path = format!("/auth/forward?audience=default&scope={scope}");
        instance.server.request("GET", &path).bearer(secret).header("user-agent", "probe/1").send();
    }
    let counted = crate::support::wait::until("the server", || {
        Some(usage()).filter(|usage| usage["refused_total"] == 1)
    });
    assert_eq!(counted["allowed_total"], 2);
    let last = crate::support::wait::until("the last use", || {
        Some(usage()["last"].clone()).filter(Value::is_object)
    });
    assert_eq!((&last["ip"], &last["agent"]), (&json!("127.0.0.1"), &json!("probe/1")));
    let never = instance
        .managing("GET", &format!("{}?never_used=true", tokens_of(WORKSPACE)))
        .send()
        .json();
    assert_eq!(never["items"], json!([]));
    let table = instance.server.run(&["token", "usage", id]);
    assert!(table.stdout.starts_with("HOUR") && table.stderr.contains("probe/1"), "{table:?}");
    let refused = instance.managing("GET", &format!("/api/v1/tokens/{id}/usage?hours=721")).send();
    problem(&refused, 422, "validation_failed");
}

#[test]
fn command_line_verifies_exports_and_imports() {
    let instance = Instance::start();
    let run = |arguments: &[&str]| instance.server.run(arguments);
    let ends = run(&["audit", "verify"]).ok();
    let chain = ends.lines().find(|line| !line.starts_with("00000000")).unwrap().to_owned();
    run(&["audit", "verify", "--head", &chain]).ok();
    assert_eq!(run(&["audit", "verify", "--head", "nonsense"]).status, 2);

    let file = instance.server.data_dir().join("tokens.jsonl");
    fs::write(
        &file,
        json!({"digest": TEST, "name": "legacy", "scopes": ["rivers:run"]}).to_string(),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let dry = run(&["token", "import", file, "--workspace", WORKSPACE, "--dry-run"]);
    assert!(dry.stdout.is_empty() && dry.stderr.contains("can be imported"), "{dry:?}");
    run(&["token", "import", file, "--workspace", WORKSPACE]).ok();
    let again = run(&["token", "import", file, "--workspace", WORKSPACE]);
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("rows[1].digest belongs to an existing"), "{}", again.stderr);
    // The running server receives the import.
    crate::support::wait::until("the server", || {
        let answer = instance.request(&By::Token("test".into()), "GET", "/api/v1/self").send();
        (answer.status == 200).then_some(())
    });
    let csv = run(&["token", "export", "--workspace", WORKSPACE, "--format", "csv"]).ok();
    assert!(csv.contains(",legacy,") && !csv.contains(TEST) && !csv.contains(&TEST[..16]));
    let list = run(&[
        "token",
        "list",
        "--workspace",
        WORKSPACE,
        "--scope",
        "rivers:run",
        "--sort",
        "last_used",
    ])
    .ok();
    assert!(list.contains("legacy"));
    let log = run(&["audit", "list", "--action", "token.import", "--json"]).ok();
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(log[0]["surface"], "cli");
    assert!(run(&["audit", "export", "--format", "csv"]).ok().contains("token.import"));

    instance.sql("UPDATE audit_events SET actor_name = 'Eve' WHERE action = 'token.import'");
    let verified = run(&["audit", "verify", "--head", &chain]);
    assert_eq!(verified.status, 1);
    assert!(verified.stderr.contains("tessera: workspace-1: chain "), "{}", verified.stderr);
    assert!(verified.stderr.contains(" was changed"), "{}", verified.stderr);
}
