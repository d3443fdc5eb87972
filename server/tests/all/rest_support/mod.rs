//! An instance with people in every role and tokens of every kind, for the tests of the REST API.
//!
//! People other than the administrator are inserted into the database directly, and so are
//! sessions: other tests cover signing in.
#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

pub mod acts;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::support::{Answer, Request, Server, server::ADMIN_EMAIL};

/// The workspace that set-up creates.
pub const WORKSPACE: &str = "workspace-1";
/// Another workspace.
pub const OTHER: &str = "other";
/// The session of the administrator of the instance.
pub const OWNER: &str = "session-owner";

/// Every scope that a token can have here.
pub const ALL_SCOPES: [&str; 6] =
    ["tokens:read", "tokens:write", "verify", "rivers:read", "rivers:write", "rivers:run"];

/// A running instance.
pub struct Instance {
    pub server: Server,
    /// A token of `WORKSPACE` with `ALL_SCOPES` of both audiences.
    pub manager: String,
}

/// The sender of a request.
#[derive(Clone, Debug)]
pub enum By {
    Nobody,
    Token(String),
    Session(String),
}

impl Instance {
    /// Starts an instance with its administrator, two workspaces and a managing token.
    #[track_caller]
    pub fn start() -> Self {
        // Tests make more calls than people do. Another test covers the limit.
        Self::of(Server::builder().argument("--api-rate-limit").argument("0").start())
    }

    /// Sets up an instance on a server with special settings.
    #[track_caller]
    pub fn of(server: Server) -> Self {
        server.admin();
        server.run(&["workspace", "create", "--slug", OTHER, "--name", "Other"]).ok();
        let mut instance = Self { server, manager: String::new() };
        instance.sql(&format!(
            "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
             SELECT sha256('{OWNER}'), id, now(), now(), now() + interval '1 hour'
               FROM users WHERE email = '{ADMIN_EMAIL}'"
        ));
        instance.manager = instance.mint(
            WORKSPACE,
            // Tokens that this token creates or changes expire no later than it does.
            &json!({
                "name": "manager", "audiences": ["tessera", "default"], "scopes": ALL_SCOPES,
                "expires_at": "never",
            }),
        );
        instance
    }

    /// A request by this sender. Sessions come with this server's `Origin`, as from its own page.
    pub fn request(&self, by: &By, method: &str, path: &str) -> Request {
        let request = self.server.request(method, path);
        match by {
            By::Nobody => request,
            By::Token(token) => request.bearer(token),
            By::Session(secret) => request
                .header("cookie", &format!("tessera={secret}"))
                .header("origin", &self.server.url()),
        }
    }

    /// A request with the managing token.
    pub fn managing(&self, method: &str, path: &str) -> Request {
        self.request(&By::Token(self.manager.clone()), method, path)
    }

    /// Requests a new token in `WORKSPACE` with the managing token.
    #[track_caller]
    pub fn create(&self, body: &Value) -> Answer {
        self.managing("POST", &tokens_of(WORKSPACE)).json(body).send()
    }

    /// Creates a token as the administrator, and returns its secret.
    #[track_caller]
    pub fn mint(&self, workspace: &str, body: &Value) -> String {
        self.minted(workspace, body)["secret"].as_str().unwrap().to_owned()
    }

    /// Creates a token as the administrator, and returns `{"token":…,"secret":…}`.
    #[track_caller]
    pub fn minted(&self, workspace: &str, body: &Value) -> Value {
        let owner = By::Session(OWNER.to_owned());
        self.request(&owner, "POST", &tokens_of(workspace)).json(body).send().expect(201).json()
    }

    /// Returns the response of `/api/v1/verify` to the managing token.
    #[track_caller]
    pub fn verify(&self, question: &Value) -> Value {
        self.managing("POST", "/api/v1/verify").json(question).send().expect(200).json()
    }

    /// Creates a person with these roles and a session.
    pub fn person(&self, name: &str, instance: &str, workspace: Option<&str>) -> By {
        let secret = format!("session-{name}");
        self.sql(&format!(
            "INSERT INTO users (id, kind, email, name, instance_role, created_at, updated_at)
             VALUES (gen_random_uuid(), 'person', '{name}@example.com', '{name}', '{instance}', now(), now());
             INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
             SELECT sha256('{secret}'), id, now(), now(), now() + interval '1 hour'
               FROM users WHERE email = '{name}@example.com';"
        ));
        if let Some(role) = workspace {
            self.sql(&format!(
                "INSERT INTO memberships (workspace_id, user_id, role, created_at)
                 SELECT w.id, u.id, '{role}', now() FROM workspaces w, users u
                  WHERE w.slug = '{WORKSPACE}' AND u.email = '{name}@example.com'"
            ));
        }
        By::Session(secret)
    }

    /// Runs SQL on the server's database.
    #[track_caller]
    pub fn sql(&self, script: &str) {
        Sql::on(&self.server).run(script);
    }
}

/// A connection to the server's database.
pub struct Sql {
    runtime: tokio::runtime::Runtime,
    connection: PgConnection,
}

impl Sql {
    /// Connects to the server's database.
    #[track_caller]
    pub fn on(server: &Server) -> Self {
        let options: PgConnectOptions = server.database_url().parse().expect("a URL");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connection = runtime
            .block_on(PgConnection::connect_with(&options))
            .expect("the database accepts the connection");
        Self { runtime, connection }
    }

    /// Runs a script. A transaction that it begins stays open.
    #[track_caller]
    pub fn run(&mut self, script: &str) {
        let script = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut self.connection);
        self.runtime.block_on(script).expect("the script runs");
    }

    /// Returns the number that a query selects.
    #[track_caller]
    pub fn number(&mut self, query: &str) -> i64 {
        let query = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.connection);
        self.runtime.block_on(query).expect("the query runs")
    }
}

/// The path of a workspace's tokens.
pub fn tokens_of(workspace: &str) -> String {
    format!("/api/v1/workspaces/{workspace}/tokens")
}

/// The request for a token that every workspace accepts.
pub fn draft(name: &str) -> Value {
    json!({"name": name, "scopes": ["rivers:run"]})
}

/// Fails the test unless the response is a problem with this status and code. Returns the problem.
#[track_caller]
pub fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["type"], format!("urn:tessera:problem:{code}"));
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    assert!(problem["title"].is_string(), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{problem}");
    problem
}

/// Returns the fields that a problem names, with their messages.
#[track_caller]
pub fn fields(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors
        .iter()
        .map(|error| {
            format!("{}: {}", error["field"].as_str().unwrap(), error["message"].as_str().unwrap())
        })
        .collect()
}
