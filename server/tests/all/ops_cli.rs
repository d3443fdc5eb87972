//! The command line, with and without a running server.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use crate::support::{
    Server, Tessera,
    command::binary,
    process::postmaster,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD, open_folder},
};
use serde_json::{Value, json};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn commands_complete_the_setup_without_a_server() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let tessera = |arguments: &[&str]| Tessera::on(&data_dir, arguments);

    let line = tessera(&["workspace", "list"]).run().refused(1);
    assert!(line.contains("contains no database") && line.contains("tessera serve"), "{line}");
    assert!(!data_dir.exists(), "a read-only command creates no folder");

    tessera(&["admin", "create", "--email", ADMIN_EMAIL]).input(ADMIN_PASSWORD).run().ok();
    assert_eq!(postmaster(&data_dir), None, "the command stops the database that it started");
    let secret = tessera(&["token", "create", "--workspace", "workspace-1", "--name", "ci"])
        .argument("--scope")
        .argument("rivers:read")
        .run()
        .ok();
    assert!(secret.starts_with("tsr_") && !secret.contains(char::is_whitespace), "{secret}");

    let server = Server::builder().data_dir(&data_dir).start();
    assert_eq!(server.setup_link(), None, "the instance is set up");
    server.request("GET", "/api/v1/self").bearer(&secret).send().expect(200);
}

#[test]
fn commands_beside_a_running_server_take_effect_immediately() {
    let server = Server::start();
    server.admin();
    let manager = server.managing_token("workspace-1");
    let made = server
        .cli(&[
            "token",
            "create",
            "--workspace",
            "workspace-1",
            "--name",
            "deploy",
            "--expires-in",
            "30d",
        ])
        .argument("--scope")
        .argument("rivers:read")
        .argument("--description")
        .argument("For the pipeline")
        .argument("--ip-allow")
        .argument("10.0.0.0/8")
        .run();
    assert!(made.stderr.contains("deploy") && !made.stderr.contains("tsr_"), "{}", made.stderr);
    let secret = made.ok();
    let verify = || {
        let body = json!({"token": secret, "audience": "default", "scopes": ["rivers:read"], "ip": "10.1.2.3"});
        server
            .request("POST", "/api/v1/verify")
            .bearer(&manager)
            .json(&body)
            .send()
            .expect(200)
            .json()
    };
    assert_eq!(verify()["code"], "VALID");

    let listed =
        json_of(&server.run(&["token", "list", "--workspace", "workspace-1", "--json"]).ok());
    let deploy =
        listed.as_array().and_then(|tokens| tokens.iter().find(|token| token["name"] == "deploy"));
    let deploy = deploy.expect("it is listed");
    assert!(deploy.get("secret").is_none() && !listed.to_string().contains(&secret));
    let id = deploy["id"].as_str().expect("an id");
    let text =
        server.run(&["token", "list", "--workspace", "workspace-1", "--search", "deploy"]).ok();
    assert!(text.contains(id) && !text.contains("manager"), "{text}");

    let shown = server.run(&["token", "show", id]).ok();
    for part in ["For the pipeline", "rivers:read", "10.0.0.0/8", ADMIN_EMAIL, "command line"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(json_of(&server.run(&["token", "show", id, "--json"]).ok())["id"], id);

    let deleted = server.run(&["token", "delete", id]);
    assert!(deleted.stderr.contains("can never be used again"));
    assert_eq!(deleted.ok(), "");
    assert_ne!(verify()["code"], "VALID");
    let line = server.run(&["token", "show", id]).refused(1);
    assert!(line.contains("The token doesn't exist"), "{line}");
    assert!(server.run(&["token", "delete", id]).refused(1).contains("The token doesn't exist"));
}

#[test]
fn people_and_members_are_managed_from_the_command_line() {
    let server = Server::start();
    server.admin();
    let id = server
        .cli(&["user", "create", "--email", "grace@example.com", "--name", "Grace"])
        .input(ADMIN_PASSWORD)
        .run()
        .ok();
    let bot =
        server.run(&["user", "create", "--email", "bot@example.com", "--service", "--json"]).ok();
    assert_eq!(json_of(&bot)["kind"], "service");
    let add = |arguments: &[&str]| {
        server.cli(&["member", "add", "--workspace", "workspace-1"]).arguments(arguments).run()
    };
    let added =
        add(&["grace@example.com", "--role", "member", "--grant", "rivers:*", "--json"]).ok();
    assert_eq!(json_of(&added)["grants"], json!(["rivers:*"]));
    assert!(add(&["bot@example.com", "--role", "king"]).status == 2);
    assert!(add(&["nobody@example.com", "--role", "viewer"]).refused(1).contains("user must be"));
    let token = |owner: &str| {
        let arguments = ["token", "create", "--workspace", "workspace-1", "--name", "t"];
        server.cli(&arguments).arguments(&["--scope", "rivers:read", "--owner", owner]).run().ok()
    };
    let secret = token("grace@example.com");
    let works = || server.request("GET", "/api/v1/self").bearer(&secret).send().status;
    assert_eq!(works(), 200);
    let disabled = server.run(&["user", "disable", "grace@example.com", "--json"]);
    assert!(disabled.stderr.contains("Stopped 1 token of this user."), "{}", disabled.stderr);
    let disabled = json_of(&disabled.ok());
    assert_eq!((&disabled["enabled"], &disabled["stopped_tokens"]), (&json!(false), &json!(1)));
    assert_eq!(
        (&disabled["disabled_tokens"], &disabled["ended_passwords"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(works(), 401);
    let enabled = json_of(&server.run(&["user", "enable", &id, "--json"]).ok());
    assert_eq!((&enabled["id"], &enabled["password_ended"]), (&json!(id), &json!(false)));
    assert_eq!(works(), 200);

    let change = ["member", "change", "--workspace", "workspace-1", "grace@example.com"];
    let changed = server
        .cli(&change)
        .arguments(&["--role", "viewer", "--grants-by-role", "--json"])
        .run()
        .ok();
    let changed = json_of(&changed);
    assert_eq!((&changed["role"], &changed["disabled_tokens"]), (&json!("viewer"), &json!(0)));
    assert_eq!(server.cli(&change).run().status, 2, "nothing to change");
    let list = server.run(&["member", "list", "--workspace", "workspace-1", "--json"]).ok();
    let grace = json_of(&list).as_array().and_then(|members| {
        members.iter().find(|member| member["user"]["name"] == "Grace").cloned()
    });
    let grace = grace.expect("a member");
    assert_eq!((&grace["role"], &grace["grants"]), (&json!("viewer"), &Value::Null));
    let remove = ["member", "remove", "--workspace", "workspace-1", "grace@example.com", "--json"];
    let removed = server.run(&remove);
    assert!(removed.stderr.contains("Stopped 1 token of this user."), "{}", removed.stderr);
    let stopped = json_of(&removed.ok());
    assert_eq!(stopped, json!({"stopped_tokens": 1, "disabled_tokens": 0}));
    let removed = json_of(&server.run(&["user", "remove", "grace@example.com", "--json"]).ok());
    assert_eq!(removed["ended_passwords"], json!([]));
    let users = server.run(&["user", "list"]).ok();
    assert!(users.contains("bot@example.com") && !users.contains("grace@example.com"), "{users}");
    let line = server.run(&["user", "disable", ADMIN_EMAIL]).refused(1);
    assert!(line.contains("one enabled owner"), "{line}");
}

#[test]
fn policy_and_presets_are_shown_before_they_are_set() {
    let server = Server::start();
    server.admin();
    server.token("workspace-1", "ci", "default", &["rivers:read"]);
    let show = |arguments: &[&str]| {
        json_of(&server.cli(&["policy", "show", "--json"]).arguments(arguments).run().ok())
    };
    let preset = ["preset", "apply", "Robust Intelligence", "--workspace", "workspace-1"];
    let looked = server.run(&preset);
    assert!(looked.stdout.contains("max_tokens: no limit -> 200"), "{}", looked.stdout);
    assert!(looked.refused(1).contains("--yes"));
    assert_eq!(show(&["--workspace", "workspace-1"])["version"], 0);
    let applied = server.cli(&preset).arguments(&["--yes", "--json"]).run().ok();
    assert_eq!(json_of(&applied)["policy"]["effective"]["max_ttl_s"], 270 * 86_400);
    server.run(&["policy", "set", "max_tokens=10", "self_service=true"]).ok();
    let set = ["policy", "set", "--workspace", "workspace-1"];
    let set = [&set[..], &["max_ttl_s=30d", "default_ttl_s=30d", "max_tokens="]].concat();
    let dry = server.cli(&set).argument("--dry-run").run().ok();
    assert!(dry.contains("tokens that do not comply: 1.") && dry.contains("no_end: 1"), "{dry}");
    server.run(&set).ok();
    let view = show(&["--workspace", "workspace-1"]);
    assert_eq!(
        (&view["effective"]["max_tokens"], &view["sources"]["max_tokens"]),
        (&json!(10), &json!("instance"))
    );
    assert_eq!(view["rules"]["allow_never"], false, "omitted rules stay unchanged");
    assert_eq!(server.run(&["policy", "set", "size=1"]).status, 2);
    let line = server.run(&["policy", "set", "name_pattern=("]).refused(1);
    assert!(line.contains("unclosed group"), "{line}");
    let text = server.run(&["policy", "show"]).ok();
    assert!(text.contains("self_service") && text.contains("instance"), "{text}");
    assert!(server.run(&["preset", "list"]).ok().contains("kriten"));
}

#[test]
fn refused_values_are_reported_in_one_line() {
    let server = Server::start();
    server.admin();
    let line = server
        .run(&[
            "token",
            "create",
            "--workspace",
            "workspace-1",
            "--name",
            "",
            "--scope",
            "no:such",
            "--expires-in",
            "soon",
        ])
        .refused(1);
    for field in ["name ", "scopes ", "expires_at "] {
        assert!(line.contains(field), "{field}: {line}");
    }
    let line = server.run(&["token", "list", "--workspace", "nowhere"]).refused(1);
    assert!(line.contains("The workspace doesn't exist"), "{line}");
    assert_eq!(server.run(&["token", "list", "--workspace", "Not A Slug"]).status, 2);
    assert_eq!(server.run(&["token", "show", "17"]).status, 2);
    assert_eq!(
        server.run(&["token", "list", "--workspace", "workspace-1", "--state", "tired"]).status,
        2
    );

    let again =
        server.cli(&["admin", "create", "--email", ADMIN_EMAIL]).input(ADMIN_PASSWORD).run();
    assert!(again.refused(1).contains("email"), "the address is in use");
    let short = server.cli(&["admin", "create", "--email", "b@example.com"]).input("short").run();
    assert!(short.refused(1).contains("password"));
    assert!(
        server
            .run(&["admin", "create", "--email", "b@example.com"])
            .refused(1)
            .contains("the password is missing")
    );
}

#[test]
fn workspaces_are_created_and_listed() {
    let server = Server::start();
    server.admin();
    assert_eq!(server.run(&["workspace", "create", "--name", "Data Team"]).ok(), "data-team");
    assert_eq!(
        server.run(&["workspace", "create", "--name", "Child", "--slug", "child@parent"]).ok(),
        "child@parent"
    );
    let line = server.run(&["workspace", "create", "--name", "Data Team"]).refused(1);
    assert!(line.contains("slug is in use"), "{line}");
    let listed = json_of(&server.run(&["workspace", "list", "--json"]).ok());
    let slugs: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|card| card["workspace"]["slug"].as_str().unwrap_or_default().to_owned())
        .collect();
    for slug in ["workspace-1", "data-team", "child@parent"] {
        assert!(slugs.iter().any(|known| known == slug), "{slugs:?}");
    }
}

#[test]
fn scopes_are_loaded_from_a_file_and_listed() {
    let server = Server::start();
    server.admin();
    let folder = open_folder();
    let file = folder.path().join("billing.toml");
    let catalogue = "audience = 'billing'\nname = 'Billing'\n[[groups]]\nname = 'Invoices'\n\
        [[groups.scopes]]\nname = 'invoices:read'\ndescription = 'See invoices.'\n";
    fs::write(&file, catalogue).expect("ours");
    let path = file.to_string_lossy().into_owned();
    let loaded = server.run(&["scopes", "load", &path]);
    assert!(loaded.stderr.contains("Scopes: 1 added, 0 changed, 0 removed"), "{}", loaded.stderr);
    server.cli(&["scopes", "load", "-"]).input(catalogue).run().ok();
    let listed = server.run(&["scopes", "list", "--audience", "billing"]).ok();
    assert!(listed.contains("invoices:read") && listed.contains("See invoices."), "{listed}");
    let all = json_of(&server.run(&["scopes", "list", "--json"]).ok());
    assert!(all.as_array().is_some_and(|all| all.len() >= 3), "{all}");
    server.token("workspace-1", "billing", "billing", &["invoices:read"]);

    fs::write(&file, "audience = 'billing'\nname = 'Billing'\ncolour = 1").expect("ours");
    let line = server.run(&["scopes", "load", &path]).refused(1);
    assert!(line.contains("billing.toml") && line.contains("colour"), "{line}");
    assert!(server.run(&["scopes", "load", "/nowhere.toml"]).refused(1).contains("/nowhere.toml"));
    assert!(
        server
            .run(&["scopes", "list", "--audience", "nothing"])
            .refused(1)
            .contains("audience nothing does not exist")
    );
}

#[test]
fn audience_gets_its_scopes_from_an_openapi_document_and_loses_them_again() {
    let server = Server::start();
    server.admin();
    let document = "openapi: 3.1.0\ninfo: {title: Rivers, version: '1'}\npaths:\n  /rivers:\n    \
        get: {tags: [rivers], summary: List rivers}\n    post: {tags: [rivers], summary: Add a river}\n";
    let import = |flags: &[&str]| {
        let command = ["scopes", "import-openapi", "-", "--audience", "rivers"];
        server.cli(&[&command[..], flags].concat()).input(document).run()
    };
    let looked = import(&["--dry-run"]);
    assert!(
        looked.stderr.contains("Would load the catalogue of audience rivers. Scopes: 2 added"),
        "{}",
        looked.stderr
    );
    assert!(looked.ok().contains("rivers:write"));
    assert!(
        server
            .run(&["audience", "delete", "rivers"])
            .refused(1)
            .contains("The audience doesn't exist")
    );
    let changes = json_of(&import(&["--json"]).ok());
    assert_eq!(changes["added"], json!(["rivers:read", "rivers:write"]));
    server.token("workspace-1", "ci", "rivers", &["rivers:write"]);

    let retire = |flags: &[&str]| {
        let command = ["scopes", "retire", "rivers:read", "--audience", "rivers", "--json"];
        json_of(&server.run(&[&command[..], flags].concat()).ok())
    };
    let looked = retire(&["--dry-run"]);
    assert_eq!(looked["uses"]["tokens"][0]["name"], "ci", "{looked}");
    assert!(looked["scope"]["retired_at"].is_null());
    assert!(retire(&[])["scope"]["retired_at"].is_string());
    server.run(&["scopes", "unretire", "rivers:read", "--audience", "rivers"]).ok();
    let line = server.run(&["scopes", "delete", "rivers:write", "--audience", "rivers"]).refused(1);
    assert!(line.contains("1 token holds it"), "{line}");
    let line = server.run(&["scopes", "delete", "rivers:read", "--audience", "rivers"]).refused(1);
    assert!(line.contains("rivers:write implies it"), "{line}");

    server.run(&["audience", "create", "queries", "--name", "Queries"]).ok();
    server
        .run(&["scopes", "add", "table://my.**", "--audience", "queries", "--group", "Tables"])
        .ok();
    let all = json_of(&server.run(&["audience", "list", "--json"]).ok());
    let queries =
        all.as_array().and_then(|all| all.iter().find(|one| one["audience"] == "queries"));
    assert_eq!(queries.map(|queries| &queries["version"]), Some(&json!(2)), "{all}");
    server.run(&["scopes", "delete", "table://my.**", "--audience", "queries"]).ok();
    server.run(&["audience", "delete", "queries"]).ok();
    let line = server
        .cli(&["scopes", "import-openapi", "-", "--audience", "x"])
        .input("swagger: '2.0'")
        .run()
        .refused(1);
    assert!(line.contains("is not an OpenAPI 3.0 or 3.1 document"), "{line}");
}

#[test]
fn openapi_document_and_completions_need_no_instance() {
    let folder = open_folder();
    let document = Tessera::new(&["openapi"]).folder(folder.path()).run().ok();
    let document = json_of(&document);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert!(document["paths"]["/api/v1/verify"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        let script = Tessera::new(&["completions", shell]).folder(folder.path()).run().ok();
        assert!(script.contains("tessera") && script.contains("workspace"), "{shell}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("ours").count(), 0);
}

#[test]
fn closed_output_pipe_is_not_a_failure() {
    let mut child = binary(&["openapi"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut reader = BufReader::with_capacity(16, child.stdout.take().expect("piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    drop(reader);
    let status = child.wait().expect("it ends");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn doctor_checks_before_during_and_after_a_run() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    let doctor = |arguments: &[&str]| {
        Tessera::on(&data_dir, &["doctor", "--json"]).arguments(arguments).run()
    };
    let verdict = |findings: &Value, check: &str| {
        let found =
            findings.as_array().and_then(|all| all.iter().find(|one| one["check"] == check));
        found.map(|one| one["verdict"].as_str().unwrap_or_default().to_owned())
    };
    let before = json_of(&doctor(&[]).ok());
    assert_eq!(verdict(&before, "data folder").as_deref(), Some("warn"));
    assert_eq!(verdict(&before, "PostgreSQL").as_deref(), Some("ok"));
    assert!(!data_dir.exists(), "doctor changes nothing");

    let server = Server::builder().data_dir(&data_dir).start();
    server.admin();
    let during = json_of(&doctor(&[]).ok());
    for check in [
        "configuration",
        "data folder",
        "keys",
        "database",
        "migrations",
        "keys in use",
        "clock",
        "public URL",
        "passwords",
        "addresses",
        "token secrets",
    ] {
        assert_eq!(verdict(&during, check).as_deref(), Some("ok"), "{check}: {during}");
    }
    let open = json_of(&doctor(&["--public-url", "http://tessera.example.com"]).ok());
    assert_eq!(verdict(&open, "public URL").as_deref(), Some("warn"));
    drop(server);

    let after = json_of(&doctor(&[]).ok());
    assert_eq!(verdict(&after, "database").as_deref(), Some("warn"));
    fs::remove_file(data_dir.join("keys.toml")).expect("ours");
    let broken = doctor(&[]);
    assert_eq!((broken.status, broken.stderr.as_str()), (1, ""));
    assert_eq!(verdict(&json_of(&broken.stdout), "keys").as_deref(), Some("fail"));
    let misconfigured = Tessera::new(&["doctor"]).env("TESSERA_LISTEN", "here").run();
    assert_eq!(misconfigured.status, 1);
    assert!(misconfigured.stdout.starts_with("fail  configuration"), "{misconfigured:?}");
}

#[test]
fn migrate_creates_a_database_and_reports_it() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    for _ in 0..2 {
        let said = Tessera::on(&data_dir, &["migrate"]).run().ok();
        assert_eq!(said, "The database is up to date.");
    }
}

#[test]
fn concurrent_commands_wait_for_each_other() {
    let folder = open_folder();
    let data_dir = folder.path().join("data");
    Tessera::on(&data_dir, &["admin", "create", "--email", ADMIN_EMAIL])
        .input(ADMIN_PASSWORD)
        .run()
        .ok();
    let names = ["One", "Two", "Three", "Four"];
    std::thread::scope(|scope| {
        for name in names {
            let data_dir = &data_dir;
            scope.spawn(move || {
                Tessera::on(data_dir, &["workspace", "create", "--name", name]).run().ok();
            });
        }
    });
    let listed = Tessera::on(&data_dir, &["workspace", "list"]).run().ok();
    assert!(names.iter().all(|name| listed.contains(name)), "{listed}");
}
