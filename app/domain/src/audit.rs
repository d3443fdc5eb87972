//! The audit log as the API and the console show it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A change: who did what, to what, when and through which surface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// The event's number; later events have greater numbers.
    pub id: i64,
    /// When the change happened.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The author of the change, for display: a user's name, a token's name, or `command line`.
    pub actor: String,
    /// The name of the action, such as `token.create`. Other versions may have written names that
    /// this one doesn't know.
    pub action: String,
    /// The object of the action, for display: the name that it had at that time.
    pub subject: String,
    /// The surface: `console`, `rest`, `cli`.
    pub surface: String,
}
