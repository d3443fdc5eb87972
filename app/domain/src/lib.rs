//! The words of Tessera: types that the server and the browser share, and the rules that need
//! nothing but their arguments.
//!
//! Invariants:
//! - No input or output, no clock, no randomness. A rule that depends on the time takes it as an
//!   argument.
//! - A value of a parsed type is valid: fields are private and the way in is `TryFrom<&str>` or
//!   `FromStr`; deserialising takes the same way.
//! - Absence never means "all".
//!
//! To add a type: one file, in the order types, errors, functions, tests; then a `pub use` here.

pub mod access;
pub mod audit;
pub mod bounds;
pub mod catalogue;
pub mod decision;
pub mod expiry;
pub mod grants;
pub mod held;
pub mod ids;
pub mod moments;
pub mod names;
mod parsed;
pub mod policy;
pub mod policy_view;
pub mod preset;
pub mod problem;
pub mod rate_limit;
pub mod replica;
pub mod roles;
pub mod rotation;
pub mod scope_pattern;
pub mod session;
pub mod tags;
pub mod token;
pub mod token_query;
pub mod token_text;
pub mod usage;
pub mod user;
pub mod workspace;
