//! Changes and their authors, as audit rows describe them.

use domain::{audit_action::AuditAction, ids::WorkspaceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Actor, Event, OpContext};

/// A change, as its audit row describes it.
pub(crate) struct Change<'a> {
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) action: AuditAction,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) subject_name: &'a str,
    /// The state before the change, without secrets.
    pub(crate) before: Option<Value>,
    /// The state after the change, without secrets.
    pub(crate) after: Option<Value>,
}

/// The author of a change and the surface, as audit rows name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Author {
    kind: String,
    id: Option<Uuid>,
    name: String,
    surface: String,
    client_ip: Option<String>,
    request_id: String,
}

impl Author {
    /// Returns the author of actions in this context.
    pub(crate) fn of(ctx: &OpContext) -> Self {
        let (kind, id, name) = match &ctx.actor {
            Actor::Anonymous => ("anonymous", None, "nobody".to_owned()),
            Actor::Operator => ("operator", None, "command line".to_owned()),
            Actor::User(visitor) | Actor::Restricted(visitor) => {
                ("user", Some(visitor.user.id.0), visitor.user.name.clone())
            }
            Actor::Token(facts) => (
                "token",
                Some(facts.token_id.0),
                format!("{} (token of {})", facts.name, facts.surroundings.user.name),
            ),
        };
        Self {
            kind: kind.to_owned(),
            id,
            name,
            surface: ctx.surface.as_str().to_owned(),
            client_ip: ctx.client_ip.map(|address| address.to_string()),
            request_id: ctx.request_id.clone(),
        }
    }

    /// Returns the row of a change.
    pub(crate) fn event(&self, id: i64, at: OffsetDateTime, change: Change<'_>) -> Event {
        Event {
            id,
            at,
            workspace: change.workspace.map(|workspace| workspace.0),
            actor_kind: self.kind.clone(),
            actor_id: self.id,
            actor_name: self.name.clone(),
            action: change.action.as_str().to_owned(),
            subject_id: change.subject_id,
            subject_name: change.subject_name.to_owned(),
            surface: self.surface.clone(),
            client_ip: self.client_ip.clone(),
            request_id: self.request_id.clone(),
            before: change.before,
            after: change.after,
        }
    }
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRecord {
    /// The row's number. Numbers increase.
    pub id: i64,
    /// The time of the action.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The slug of the workspace; absent for actions on the instance.
    pub workspace: Option<String>,
    /// `anonymous`, `operator`, `user` or `token`.
    pub actor_kind: String,
    /// The id of the user or token.
    pub actor_id: Option<Uuid>,
    /// The actor's name at that time.
    pub actor_name: String,
    /// The name of the action, such as `token.create`. Other versions may have written names that
    /// this one doesn't know.
    pub action: String,
    /// The id of the subject.
    pub subject_id: Option<Uuid>,
    /// The subject's name at that time.
    pub subject_name: String,
    /// The surface: `console`, `rest`, `cli`.
    pub surface: String,
    /// The caller's IP address.
    pub client_ip: Option<String>,
    /// The request's id, as in the server's log.
    pub request_id: String,
    /// The state before the action, without secrets.
    pub before: Option<Value>,
    /// The state after the action, without secrets.
    pub after: Option<Value>,
}
