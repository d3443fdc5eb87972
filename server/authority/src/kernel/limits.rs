//! Limits that error messages name.

/// The maximum number of invitations that one person, or all tokens of a workspace together, can
/// send within an hour.
pub const INVITATIONS_PER_HOUR: i64 = 50;
/// The maximum number of idempotency keys that one caller can hold at a time.
pub(crate) const KEYS_MAX: i64 = 10_000;
/// The maximum number of secrets of other workspaces' tokens that imports may name within a day.
pub(crate) const COLLISIONS_MAX: i64 = 5;
