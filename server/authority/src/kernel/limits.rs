//! Limits that error messages name.

/// Most invitations of one person, or of all tokens of a workspace together, within an hour.
pub const INVITATIONS_PER_HOUR: i64 = 50;
/// Most idempotency keys that one caller holds at a time.
pub(crate) const KEYS_MAX: i64 = 10_000;
/// Most secrets of other workspaces' tokens that imports may name within a day.
pub(crate) const COLLISIONS_MAX: i64 = 5;
