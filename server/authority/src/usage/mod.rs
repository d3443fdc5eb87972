//! Records the use of tokens in memory and writes it in batches, so that it never slows down a
//! verification.
//!
//! The recorded uses of a token are written every two minutes at most, beginning with its first use
//! after a rest. So the use of a token shows at once, and a token in constant use costs one row a
//! minute: its own row and its count of the hour, both every other minute. Uses that were recorded
//! since are lost when the process is killed; no decision depends on them. A failed flush is
//! retried with the next one. A row that the database refuses is dropped, and the others are
//! written: a token that a failover has lost must not block the uses of all other tokens.
//!
//! A use is recorded next to the facts that decided it (`kernel/uses.rs`). Every two seconds a
//! flush (`background/usage.rs`) gathers the uses by token (`recorder`) and writes those that are due. Memory is bounded: beyond the
//! bound, no uses of further tokens are recorded.

mod recorder;

pub(crate) use recorder::{Gathered, UsageRecorder};
