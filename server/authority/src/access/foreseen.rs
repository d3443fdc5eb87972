//! How a calling token relates to the token that it changes.

use domain::ids::TokenId;

use crate::store::stops::Lineage;

/// The relation of the calling token to another one, read before the other one is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreseen {
    pub(crate) asks: TokenId,
    pub(crate) other: TokenId,
    pub(crate) lineage: Lineage,
    /// The last row of the workspace's log at that time.
    pub(crate) last_row: i64,
}
