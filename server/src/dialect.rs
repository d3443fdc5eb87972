//! The products whose APIs Tessera can serve. `surfaces` has the APIs.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A product whose API is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Devo: `/ws/accounts/{account}/credentials/tokens`.
    Devo,
    /// Kriten: `/api/v1/api_tokens`.
    Kriten,
    /// Robust Intelligence: `/v1/users/api-tokens`.
    RobustIntelligence,
}

/// The error for a product without an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be devo, kriten or robust-intelligence")]
pub(crate) struct UnknownDialect;

impl Dialect {
    const ALL: [Self; 3] = [Self::Devo, Self::Kriten, Self::RobustIntelligence];

    /// Returns the product's name in configuration and paths.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Devo => "devo",
            Self::Kriten => "kriten",
            Self::RobustIntelligence => "robust-intelligence",
        }
    }

    /// Returns the path of its OpenAPI description.
    pub(crate) fn document_path(self) -> String {
        format!("/api/openapi/{self}.json")
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text).ok_or(UnknownDialect)
    }
}
