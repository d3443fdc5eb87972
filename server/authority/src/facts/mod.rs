//! The facts that decide verifications, in the memory of a server.
//!
//! `cache` holds them, and `load` reads the missing ones from the database in batches. `room` and
//! `places` bound the memory that they take. `rate` counts uses against the limits of tokens, and
//! `unknown` limits how many unknown texts a client has looked up.

mod bucket;
pub(crate) mod cache;
pub(crate) mod load;
mod places;
pub(crate) mod rate;
mod room;
mod unknown;

pub(crate) use cache::Cache;
pub(crate) use load::Loader;
pub use rate::RateState;
pub(crate) use unknown::{Presenter, Taken, UnknownTokens};
