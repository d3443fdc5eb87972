//! The audit log as the API and the console show it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One change: who did what, to what, when and through which surface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Its number, growing.
    pub id: i64,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who did it, for people: a name, a token's name, or `command line`.
    pub actor: String,
    /// What was done, such as `token.create`.
    pub action: String,
    /// To what, for people: the name that it had then.
    pub subject: String,
    /// The way in: `console`, `rest`, `cli`.
    pub surface: String,
}
