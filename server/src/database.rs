//! The database's URLs, and its errors for an operator.

use authority::ServiceError;

use crate::config::{Config, DatabaseUrl};

/// The database URLs.
#[derive(Debug)]
pub(crate) struct Urls {
    /// The URL for the role that serves requests. It reads and writes rows.
    pub(crate) serving: DatabaseUrl,
    /// The URL for the role that owns the tables, if that is a different role. It runs migrations.
    pub(crate) owner: Option<DatabaseUrl>,
}

impl Urls {
    /// Returns the configured URLs, or `None` if the embedded database is used.
    pub(crate) fn configured(config: &Config) -> Option<Self> {
        let serving = config.database_url.clone()?;
        Some(Self { serving, owner: config.migration_database_url.clone() })
    }
}

/// Describes an error in one line for an operator, who may see causes.
pub(crate) fn describe(error: &ServiceError) -> String {
    match error {
        ServiceError::Unavailable(cause) => {
            format!("the database cannot be reached: {}", chain(cause))
        }
        ServiceError::Internal(cause) => chain(cause.as_ref()),
        ServiceError::Invalid(errors) => errors
            .iter()
            .map(|error| format!("{} {}", error.field, error.message))
            .collect::<Vec<_>>()
            .join("; "),
        other => {
            let detail = other.problem().detail;
            detail.strip_suffix('.').unwrap_or(&detail).to_owned()
        }
    }
}

/// Returns the text of an error with those of its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors already quote their cause, so don't repeat it.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
