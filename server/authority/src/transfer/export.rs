//! Exports records of tokens and of the audit log for other systems. Never contains a digest or a
//! secret.

use std::collections::BTreeSet;

use domain::{
    catalogue::ScopeName,
    held::HeldScopes,
    names::AudienceSlug,
    token::{Stop, Token},
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{Format, Transfer, csv};
use crate::{
    AuditRecord, OpContext, ServiceError,
    kernel::Actor,
    work::{Heavy, Kind},
};

const TOKEN_COLUMNS: [&str; 24] = [
    "id",
    "num",
    "workspace",
    "name",
    "description",
    "owner",
    "created_by",
    "audiences",
    "scopes",
    "state",
    "enabled",
    "hint",
    "not_before",
    "expires_at",
    "ip_allow",
    "last_used_at",
    "last_used_ip",
    "created_at",
    "updated_at",
    "rate_limit",
    "grants",
    "parent",
    "disabled_by",
    "ended_by",
];

const AUDIT_COLUMNS: [&str; 14] = [
    "id",
    "at",
    "workspace",
    "actor_kind",
    "actor_id",
    "actor_name",
    "action",
    "subject_id",
    "subject_name",
    "surface",
    "client_ip",
    "request_id",
    "before",
    "after",
];

impl Transfer<'_> {
    /// Writes tokens, line by line. Heavy work is queued under the tenant of `ctx`.
    ///
    /// # Errors
    ///
    /// `Busy`.
    #[tracing::instrument(skip_all, fields(
        noun = "transfer", verb = "write_tokens",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn write_tokens(
        &self,
        ctx: &OpContext,
        format: Format,
        tokens: Vec<Token>,
    ) -> Result<String, ServiceError> {
        self.write(ctx, format, tokens, token_cells).await
    }

    /// Writes rows of the audit log, line by line.
    ///
    /// # Errors
    /// `Busy`.
    #[tracing::instrument(skip_all, fields(
        noun = "transfer", verb = "write_audit",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn write_audit(
        &self,
        ctx: &OpContext,
        format: Format,
        records: Vec<AuditRecord>,
    ) -> Result<String, ServiceError> {
        self.write(ctx, format, records, audit_cells).await
    }

    async fn write<T: Serialize + Send + 'static>(
        &self,
        ctx: &OpContext,
        format: Format,
        rows: Vec<T>,
        cells: fn(&T) -> Vec<String>,
    ) -> Result<String, ServiceError> {
        let tenant = match &ctx.actor {
            Actor::Token(facts) => facts.surroundings.workspace_id.0,
            _ => ctx.user_id().map_or(Uuid::nil(), |user| user.0),
        };
        let write = move |heavy: &Heavy| format.lines(&rows, cells, heavy);
        self.inner.work.run(Kind::Export, tenant, write).await?.map_err(ServiceError::internal)
    }
}

impl Format {
    /// Returns the media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/jsonl",
        }
    }

    /// Returns the file extension.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// Returns the header line of a file of tokens, if the format has one.
    pub fn token_heading(self) -> String {
        self.heading(&TOKEN_COLUMNS)
    }

    /// Returns the header line of a file of the audit log, if the format has one.
    pub fn audit_heading(self) -> String {
        self.heading(&AUDIT_COLUMNS)
    }

    fn heading(self, columns: &[&str]) -> String {
        let mut text = String::new();
        if self == Self::Csv {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            csv::write(&mut text, &columns);
        }
        text
    }

    /// A row that cannot be written fails the export: a file without it would claim that the row
    /// does not exist.
    fn lines<T: Serialize>(
        self,
        rows: &[T],
        cells: fn(&T) -> Vec<String>,
        _: &Heavy,
    ) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        for row in rows {
            match self {
                Self::Csv => csv::write(&mut text, &cells(row)),
                Self::Jsonl => {
                    text.push_str(&serde_json::to_string(row)?);
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }
}

fn token_cells(token: &Token) -> Vec<String> {
    vec![
        token.id.to_string(),
        token.num.to_string(),
        token.workspace.to_string(),
        token.name.clone(),
        token.description.to_string(),
        token.user.email.clone(),
        token.created_by.as_ref().map(|user| user.email.clone()).unwrap_or_default(),
        words(&token.audiences),
        words(&token.scopes),
        token.state.as_str().to_owned(),
        token.enabled.to_string(),
        token.hint.clone(),
        moment(token.not_before),
        moment(token.expires_at),
        words(&token.ip_allow),
        moment(token.last_used_at),
        text(token.last_used_ip),
        moment(Some(token.created_at)),
        moment(Some(token.updated_at)),
        text(token.rate_limit),
        grants(&token.grants),
        text(token.parent),
        stop(token.disabled_by.as_ref()),
        stop(token.ended_by.as_ref()),
    ]
}

/// Returns the address of the user who stopped a token, otherwise the actor's standing.
fn stop(stop: Option<&Stop>) -> String {
    let name = |stop: &Stop| match &stop.user {
        Some(user) => user.email.clone(),
        None => stop.standing.as_str().to_owned(),
    };
    stop.map(name).unwrap_or_default()
}

fn audit_cells(record: &AuditRecord) -> Vec<String> {
    vec![
        record.id.to_string(),
        moment(Some(record.at)),
        record.workspace.clone().unwrap_or_default(),
        record.actor_kind.clone(),
        text(record.actor_id),
        record.actor_name.clone(),
        record.action.clone(),
        text(record.subject_id),
        record.subject_name.clone(),
        record.surface.clone(),
        record.client_ip.clone().unwrap_or_default(),
        record.request_id.clone(),
        text(record.before.as_ref()),
        text(record.after.as_ref()),
    ]
}

fn moment(moment: Option<OffsetDateTime>) -> String {
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

fn words(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Formats pairs as one cell, as an import reads them.
fn grants(held: &HeldScopes) -> String {
    let of = |(audience, scopes): (&AudienceSlug, &BTreeSet<ScopeName>)| {
        if scopes.is_empty() {
            return format!("{audience}/");
        }
        scopes.iter().map(|scope| format!("{audience}/{scope}")).collect::<Vec<_>>().join(" ")
    };
    held.iter().map(of).collect::<Vec<_>>().join(" ")
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
