//! The running instance.

pub mod show;

pub use show::InstancePage;
