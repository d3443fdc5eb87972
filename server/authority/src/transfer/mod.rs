//! Imports tokens from other systems, and exports records for them.
//!
//! - Import takes tokens of which another system holds the SHA-256: their bearers continue to use
//!   their secrets. All rows of a file become tokens, or none.
//! - Export returns the records of tokens, never a digest and never a secret.
//!
//! An imported secret need not have the form of Tessera's own secrets. So a text of another form is
//! looked up once any token was imported, and refused without a query until then
//! ([`Inner::may_be_imported`]). A server sees its own imports at once; other servers, and a server
//! beside a command that imported, see them within two seconds (`background.rs`).

mod csv;
mod export;
mod import;
mod rows;

pub(crate) use self::import::COLLISIONS_MAX;
pub use self::import::{ImportReport, ImportedToken, ROWS_MAX};

use std::sync::atomic::Ordering;

use crate::{Authority, ServiceError, authority::Inner, store::imports};

/// Longest text without the form of a token that is looked up, in bytes.
const FOREIGN_MAX: usize = 1_024;

/// Tokens from and for other systems.
#[derive(Clone, Copy)]
pub struct Transfer<'a> {
    pub(crate) inner: &'a Inner,
}

/// The format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with headings (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::Jsonl),
            _ => Err("must be csv or jsonl"),
        }
    }
}

impl Inner {
    /// Returns whether a text without the form of a token may still be a token.
    pub(crate) fn may_be_imported(&self, presented: &str) -> bool {
        self.imports.load(Ordering::Relaxed) && (1..=FOREIGN_MAX).contains(&presented.len())
    }
}

impl Authority {
    /// Checks whether there are imported tokens. Once true, it stays true.
    pub(crate) async fn learn_imports(&self) -> Result<(), ServiceError> {
        if self.inner.imports.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut connection = self.inner.connection().await?;
        let exist = imports::exist(&mut connection).await?;
        self.inner.imports.store(exist, Ordering::Relaxed);
        Ok(())
    }
}
