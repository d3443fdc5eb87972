//! The vocabulary of Tessera: types that the server and the browser share, and rules that need
//! nothing but their arguments.
//!
//! Invariants:
//! - No I/O, no clock, no randomness. A rule that depends on the time takes it as an argument.
//! - A value of a parsed type is always valid: its fields are private, and it can only be created
//!   by `TryFrom<String>` or `FromStr`. Deserialization takes the same path.
//! - Absence never means "all".
//!
//! To add a type, create a file in the order types, errors, functions, tests, and declare its
//! module here.

pub mod access;
pub mod audit;
pub mod audit_action;
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
mod preset_rules;
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
