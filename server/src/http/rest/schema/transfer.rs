//! Imports, usage and the audit log.

use std::net::IpAddr;

use authority::{AuditPage, AuditRecord, ImportReport};
use domain::usage::TokenUsage;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// The result of an import.
#[derive(Serialize, ToSchema)]
#[schema(as = Import, example = json!({
    "dry_run": false,
    "tokens": [{"row": 1, "id": "0198c2c4-7a00-7000-8000-00000000002a", "name": "ci"}]
}))]
pub(crate) struct ImportBody {
    /// Whether this was a dry run, which changes nothing.
    dry_run: bool,
    /// The tokens, in the order of the rows.
    tokens: Vec<ImportedTokenBody>,
}

/// An imported token.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedToken)]
pub(crate) struct ImportedTokenBody {
    /// The row, counted from 1, without headings and empty lines.
    #[schema(minimum = 1)]
    row: usize,
    /// Its ID; null for a dry run.
    id: Option<Uuid>,
    /// Its name.
    name: String,
}

impl From<ImportReport> for ImportBody {
    fn from(report: ImportReport) -> Self {
        let tokens = report.tokens.into_iter().map(|token| ImportedTokenBody {
            row: token.row,
            id: token.id.map(|id| id.0),
            name: token.name,
        });
        Self { dry_run: report.dry_run, tokens: tokens.collect() }
    }
}

/// How often a token was presented, one number for each hour.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenUsage, example = json!({
    "token_id": "0198c2c4-7a00-7000-8000-00000000002a", "from": "2026-08-18T10:00:00Z",
    "allowed": [0, 12, 3], "refused": [0, 0, 1], "allowed_total": 15, "refused_total": 1,
    "last": {"at": "2026-08-18T12:04:05Z", "ip": "192.0.2.1", "agent": "curl/8.5.0"}
}))]
pub(crate) struct UsageBody {
    /// The token.
    token_id: Uuid,
    /// The beginning of the first hour.
    #[serde(with = "time::serde::rfc3339")]
    from: OffsetDateTime,
    /// How often it was accepted, oldest hour first.
    allowed: Vec<i64>,
    /// How often it was refused, oldest hour first.
    refused: Vec<i64>,
    /// The sum of `allowed`.
    allowed_total: i64,
    /// The sum of `refused`.
    refused_total: i64,
    /// Its last use; null if it has never been used.
    last: Option<LastUseBody>,
}

/// An accepted use.
#[derive(Serialize, ToSchema)]
#[schema(as = LastUse)]
pub(crate) struct LastUseBody {
    /// When it was used, to within two minutes.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The caller's address.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// The name of the caller's program, if the gateway passed it on.
    agent: Option<String>,
}

impl From<TokenUsage> for UsageBody {
    fn from(usage: TokenUsage) -> Self {
        Self {
            token_id: usage.token_id.0,
            from: usage.from,
            allowed_total: usage.allowed.iter().sum(),
            refused_total: usage.refused.iter().sum(),
            allowed: usage.allowed,
            refused: usage.refused,
            last: usage.last.map(|last| LastUseBody {
                at: last.at,
                ip: last.ip,
                agent: last.agent,
            }),
        }
    }
}

/// A change: who made it, what changed, when, and from where.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent, example = event_example)]
pub(crate) struct EventBody {
    /// Its number; numbers grow.
    id: i64,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The slug of the workspace; null for changes to the instance.
    workspace: Option<String>,
    /// `anonymous`, `operator` (the command line), `user` or `token`.
    actor_kind: String,
    /// The user's or the token's ID.
    actor_id: Option<Uuid>,
    /// The actor's name at that time.
    actor_name: String,
    /// The action, such as `token.create`.
    action: String,
    /// The ID of the subject.
    subject_id: Option<Uuid>,
    /// The subject's name at that time.
    subject_name: String,
    /// The surface: `console`, `rest`, `cli`.
    surface: String,
    /// The caller's address.
    client_ip: Option<String>,
    /// The request's ID, as in the server's log.
    request_id: String,
    /// The state before the change, without secrets.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// The state after the change, without secrets.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<AuditRecord> for EventBody {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at,
            workspace: record.workspace,
            actor_kind: record.actor_kind,
            actor_id: record.actor_id,
            actor_name: record.actor_name,
            action: record.action,
            subject_id: record.subject_id,
            subject_name: record.subject_name,
            surface: record.surface,
            client_ip: record.client_ip,
            request_id: record.request_id,
            before: record.before,
            after: record.after,
        }
    }
}

/// One page of the log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(crate) struct AuditPageBody {
    /// The rows, newest first.
    items: Vec<EventBody>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

impl From<AuditPage> for AuditPageBody {
    fn from(page: AuditPage) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

fn event_example() -> Value {
    json!({
        "id": 4711,
        "at": "2026-08-18T12:00:00Z",
        "workspace": "workspace-1",
        "actor_kind": "user",
        "actor_id": "0198c2c4-7a00-7000-8000-000000000001",
        "actor_name": "Ada",
        "action": "token.create",
        "subject_id": "0198c2c4-7a00-7000-8000-00000000002a",
        "subject_name": "deploy-bot",
        "surface": "rest",
        "client_ip": "192.0.2.1",
        "request_id": "6f1f64a3-7d0f-4f0e-9a53-2f5d8c1d9b11",
        "before": null,
        "after": {"name": "deploy-bot", "scopes": ["rivers:run"]}
    })
}
