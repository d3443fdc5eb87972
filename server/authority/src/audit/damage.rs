//! The kinds of damage to a chain, for programs and as a line of text for people.

use serde::Serialize;
use uuid::Uuid;

/// Damage to a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "damage", rename_all = "snake_case")]
pub enum Damage {
    /// A row is not as it was written.
    Changed {
        /// The chain: a workspace's id, or the nil UUID for the instance.
        chain: Uuid,
        /// The position in the chain.
        seq: i64,
        /// The row's id.
        id: i64,
    },
    /// A row is at another row's position.
    Reordered {
        /// The chain.
        chain: Uuid,
        /// The position in the chain.
        seq: i64,
        /// The row's id.
        id: i64,
    },
    /// A row was not written by Tessera, or not in this place.
    Inserted {
        /// The chain.
        chain: Uuid,
        /// The position in the chain.
        seq: i64,
        /// The row's id.
        id: i64,
    },
    /// Rows are missing.
    Missing {
        /// The chain.
        chain: Uuid,
        /// The first missing row.
        from: i64,
        /// The last missing row.
        to: i64,
    },
    /// The last rows are missing.
    TailCut {
        /// The chain.
        chain: Uuid,
        /// The first missing row.
        from: i64,
        /// The last missing row.
        to: i64,
    },
    /// The record of the chain's end is not as it was written.
    HeadChanged {
        /// The chain.
        chain: Uuid,
    },
    /// The record of the chain's end is older than the rows.
    HeadOld {
        /// The chain.
        chain: Uuid,
        /// The recorded end.
        seq: i64,
        /// The end according to the rows.
        last: i64,
    },
    /// The record of the chain's end is missing.
    HeadMissing {
        /// The chain.
        chain: Uuid,
    },
    /// The key of some rows is not in the keys file, so they cannot be verified.
    UnknownKey {
        /// The chain.
        chain: Uuid,
        /// The key's version.
        version: i16,
        /// The first of the rows; 0 for the record of the chain's end.
        from: i64,
        /// The last of the rows.
        to: i64,
    },
    /// A row belongs to no chain.
    Unchained {
        /// The row's id.
        id: i64,
    },
    /// The chain is not the one whose end was stored elsewhere.
    Rewritten {
        /// The chain.
        chain: Uuid,
        /// The stored position.
        seq: i64,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = |from: &i64, to: &i64| {
            if from == to { format!("row {from} is") } else { format!("rows {from} to {to} are") }
        };
        match self {
            Self::Changed { chain, seq, id } => {
                write!(formatter, "chain {chain}: row {seq} (id {id}) was changed")
            }
            Self::Reordered { chain, seq, id } => {
                write!(formatter, "chain {chain}: row {seq} (id {id}) is in another row's position")
            }
            Self::Inserted { chain, seq, id } => {
                write!(formatter, "chain {chain}: row {seq} (id {id}) was inserted")
            }
            Self::Missing { chain, from, to } => {
                write!(formatter, "chain {chain}: {} missing", rows(from, to))
            }
            Self::TailCut { chain, from, to } => {
                write!(formatter, "chain {chain}: {} missing at the end", rows(from, to))
            }
            Self::HeadChanged { chain } => {
                write!(formatter, "chain {chain}: the record of its end was changed")
            }
            Self::HeadOld { chain, seq, last } => write!(
                formatter,
                "chain {chain}: the record of its end names row {seq}, but there are rows up to {last}: an older record was restored"
            ),
            Self::HeadMissing { chain } => {
                write!(formatter, "chain {chain}: the record of its end was removed")
            }
            Self::UnknownKey { chain, version, from: 0, .. } => write!(
                formatter,
                "chain {chain}: the record of its end needs audit key {version}, which is missing from the keys file"
            ),
            Self::UnknownKey { chain, version, from, to } => write!(
                formatter,
                "chain {chain}: rows {from} to {to} need audit key {version}, which is missing from the keys file"
            ),
            Self::Unchained { id } => {
                write!(formatter, "the row with id {id} does not belong to a chain")
            }
            Self::Rewritten { chain, seq } => write!(
                formatter,
                "chain {chain}: row {seq} does not match the end that was stored elsewhere"
            ),
        }
    }
}
