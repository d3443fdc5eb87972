//! Errors of the database.

use thiserror::Error;

use super::ServiceError;

/// An error from the database.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is unreachable, is shutting down, or rejects Tessera's connection.
    #[error("no connection")]
    Unavailable(#[source] sqlx::Error),
    /// The database cancelled the statement because a lock or the statement took too long, or
    /// because of a conflict with another transaction. A retry may succeed a moment later.
    #[error("the database was busy")]
    Busy(#[source] sqlx::Error),
    /// The write violates the named constraint.
    #[error("the constraint {0} rejected the change")]
    Constraint(String),
    /// A row contains a value that no version of Tessera writes.
    #[error("the column {column} of row {row} contains an unreadable value")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
    },
    /// Any other error.
    #[error("the query failed")]
    Query(#[source] sqlx::Error),
}

/// The codes for a missing table, schema, unique constraint, function, column, and role or type.
/// Tessera's statements are checked at build time, so at run time these codes mean that the
/// database is being restored.
const MISSING: &[&str] = &["42P01", "3F000", "42P10", "42883", "42703", "42704"];

/// PostgreSQL's code for an internal error.
const INTERNAL: &str = "XX000";

/// Parts of the messages with which PgBouncer rejects a client because of its configuration.
const POOLER_REFUSALS: &[&str] = &[
    "unsupported startup parameter",
    "no such database",
    "no such user",
    "auth failed",
    "authentication failed",
];

impl StoreError {
    /// Returns whether the error is a violation of this constraint.
    pub(crate) fn violates(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint(name) if name == constraint)
    }

    /// Returns whether the database was unavailable or busy, so that the statement has no result.
    pub(crate) const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_))
    }

    /// Returns whether retries are useless until an operator changes the configuration, such as the
    /// password, the name of the database, or a certificate.
    pub fn is_misconfigured(&self) -> bool {
        let (Self::Unavailable(error) | Self::Query(error)) = self else { return false };
        match error {
            sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => true,
            // rustls reports a certificate that it does not trust as invalid data.
            sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
            // SQLSTATE 28: the role or its password; 3D000: the database; 42501: its rights.
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                // PgBouncer uses the same code for every error.
                let of_pooler =
                    || POOLER_REFUSALS.iter().any(|text| database.message().contains(text));
                code.starts_with("28")
                    || code == "3D000"
                    || code == "42501"
                    || code == "08P01" && of_pooler()
            }
            _ => false,
        }
    }

    /// Returns whether the role lacks a privilege that the statement needs.
    pub(crate) fn is_of_rights(&self) -> bool {
        self.has_code(|code| code == "42501")
    }

    /// Returns whether a part of the schema is missing.
    pub(crate) fn is_of_schema(&self) -> bool {
        self.has_code(|code| MISSING.contains(&code))
    }

    /// Returns whether the database reports an internal error. Other database engines report one
    /// for features that they don't support.
    pub(crate) fn is_internal(&self) -> bool {
        self.has_code(|code| code == INTERNAL)
    }

    /// Returns whether the database lacks resources, such as for another connection (SQLSTATE class
    /// 53).
    pub(crate) fn is_full(&self) -> bool {
        self.has_code(|code| code.starts_with("53"))
    }

    fn has_code(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        let (Self::Unavailable(error) | Self::Query(error)) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| is_wanted(&code))
    }

    /// Returns whether the database rejected a value, so that a retry would fail again (SQLSTATE
    /// classes 22 and 23).
    pub(crate) fn is_of_data(&self) -> bool {
        match self {
            Self::Constraint(_) => true,
            Self::Query(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            _ => false,
        }
    }

    /// Returns the error of a transaction that failed to begin. A standby rejects read-write
    /// transactions as an unsupported feature, which counts as unavailable.
    pub(crate) fn of_beginning(error: sqlx::Error) -> Self {
        let error = Self::from(error);
        let is_of_standby = error.is_of_standby();
        match error {
            Self::Query(error) if is_of_standby => Self::Unavailable(error),
            error => error,
        }
    }

    /// Returns whether a standby rejected the start of a read-write transaction.
    pub(crate) fn is_of_standby(&self) -> bool {
        self.has_code(|code| code == "0A000")
    }

    /// Returns an [`Unavailable`](Self::Unavailable) error for a failure that was detected
    /// elsewhere.
    pub(crate) fn away(why: &str) -> Self {
        Self::Unavailable(sqlx::Error::Protocol(why.to_owned()))
    }

    pub(crate) fn corrupt(column: &'static str, row: impl std::fmt::Display) -> Self {
        Self::Corrupt { column, row: row.to_string() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            // The peer does not speak PostgreSQL's protocol, such as a proxy without a server.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => {
                match (Answer::of(&database.code().unwrap_or_default()), database.constraint()) {
                    (Answer::Away, _) => Self::Unavailable(error),
                    (Answer::Busy, _) => Self::Busy(error),
                    (Answer::Other, Some(constraint)) => Self::Constraint(constraint.to_owned()),
                    (Answer::Other, None) => Self::Query(error),
                }
            }
            _ => Self::Query(error),
        }
    }
}

/// The state of the database according to a SQLSTATE (PostgreSQL's documentation, appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Away,
    Busy,
    Other,
}

impl Answer {
    fn of(code: &str) -> Self {
        match code {
            // Serialisation failure, deadlock, lock not available, statement cancelled.
            "40001" | "40P01" | "55P03" | "57014" => Self::Busy,
            // 25006: read-only (a standby). 3D000: no such database. 25P03 and 25P04: the session
            // or transaction timed out. 26000 and 42P05: a prepared statement is missing or belongs
            // to another client, because a pooler switched connections. 55000: the database accepts
            // no connections. 42501: a privilege is missing.
            "25006" | "3D000" | "25P03" | "25P04" | "26000" | "42P05" | "55000" | "42501" => {
                Self::Away
            }
            _ if MISSING.contains(&code) => Self::Away,
            // For example, a table is being replaced while the database is restored.
            INTERNAL => Self::Away,
            // Classes: 08 connection, 28 authorisation, 53 resources, 57P shutdown and start-up, 58
            // errors of the operating system.
            _ if ["08", "28", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) => {
                Self::Away
            }
            _ => Self::Other,
        }
    }
}

impl From<sqlx::Error> for ServiceError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_error_is_classified_by_its_sqlstate() {
        for (code, answer) in [
            ("40001", Answer::Busy),
            ("40P01", Answer::Busy),
            ("55P03", Answer::Busy),
            ("57014", Answer::Busy),
            ("28P01", Answer::Away),
            ("57P01", Answer::Away),
            ("53300", Answer::Away),
            ("25006", Answer::Away),
            ("26000", Answer::Away),
            ("42P05", Answer::Away),
            ("23505", Answer::Other),
            ("55000", Answer::Away),
            ("42501", Answer::Away),
            ("42P01", Answer::Away),
            ("42P10", Answer::Away),
            ("42883", Answer::Away),
            ("42703", Answer::Away),
            ("42704", Answer::Away),
            ("XX000", Answer::Away),
            ("58030", Answer::Away),
            ("58P01", Answer::Away),
            ("XX001", Answer::Other),
            ("42601", Answer::Other),
            ("", Answer::Other),
        ] {
            assert_eq!(Answer::of(code), answer, "{code}");
        }
    }

    #[test]
    fn peer_that_does_not_speak_postgresql_is_unavailable() {
        let error = sqlx::Error::Protocol("unexpected response from SSLRequest: 0x00".into());
        assert!(StoreError::from(error).is_unavailable());
    }
}
