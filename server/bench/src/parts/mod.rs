//! The parts of the benchmark.

pub(crate) mod create;
pub(crate) mod gateways;
pub(crate) mod growth;
pub(crate) mod instructions;
pub(crate) mod lists;
pub(crate) mod memory;
pub(crate) mod peers;
mod slow;
pub(crate) mod tenants;
pub(crate) mod uncached;
pub(crate) mod usage;
pub(crate) mod verify;
pub(crate) mod weight;
