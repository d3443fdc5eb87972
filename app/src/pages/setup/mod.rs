//! Setting the instance up.

pub mod complete;

pub use complete::SetupPage;
