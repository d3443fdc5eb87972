//! Imports tokens from other systems, and exports records for them.
//!
//! - Import takes tokens of which another system holds the SHA-256: their bearers continue to use
//!   their secrets. All rows of a file become tokens, or none.
//! - Export returns the records of tokens, never a digest and never a secret.
//!
//! An imported secret need not have the form of Tessera's own secrets. So a text of another form is
//! looked up once any token was imported, and refused without a query until then
//! ([`Inner::may_be_imported`]). A server sees its own imports at once; other servers, and a server
//! beside a command that imported, see them within two seconds (`background/mod.rs`).

mod csv;
mod export;
mod import;
mod rows;

pub use self::import::{ImportReport, ImportedToken, ROWS_MAX};

use crate::state::Inner;

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
