//! Limits on what callers may cost.
//!
//! - `rate`: calls per minute.
//! - `strangers`: concurrent requests of unauthenticated callers.
//! - `bodies`: the memory for request bodies.
//! - `unread`: the memory for responses that authenticated callers have not read yet.
//! - `awaited`: the requests of a connection that wait for their peer.
//! - `room`, `patient`: what these share: room that parties take from each other, and responses
//!   that must be read in time.

pub(crate) mod awaited;
pub(crate) mod bodies;
mod patient;
pub(crate) mod rate;
mod room;
pub(crate) mod strangers;
pub(crate) mod unread;

pub(crate) use room::network;
