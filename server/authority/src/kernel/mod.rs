//! The types that all other modules share: the caller of an operation, the tenant of a query, the
//! subject of a change, audit rows, and errors. Nothing here runs a query or holds state.

mod about;
mod attached;
mod audit;
mod audit_chain;
mod bounds;
mod context;
pub(crate) mod cursor;
mod error;
mod facts;
pub(crate) mod known;
pub(crate) mod limits;
mod network;
mod parse;
mod store_error;
mod subject;
mod tenant;
pub(crate) mod uses;

pub use about::About;
pub use attached::{Counted, Rendered, Validity};
pub use audit::AuditRecord;
pub(crate) use audit::{Author, Change};
pub(crate) use audit_chain::{ChainedEvent, Event, Head, INSTANCE, Link, START};
pub(crate) use bounds::bounds_of_facts;
pub use context::{Actor, OpContext, Surface};
pub use error::ServiceError;
pub(crate) use error::chain;
pub use facts::{AudienceRights, Facts, STEPS_MAX, SecretFacts, Surroundings, Verifies};
pub use known::Known;
pub(crate) use network::{network, prefix};
pub(crate) use parse::parse;
pub use store_error::StoreError;
pub(crate) use subject::Subject;
pub(crate) use tenant::Tenant;
pub(crate) use uses::{Counts, Noted, Use};
