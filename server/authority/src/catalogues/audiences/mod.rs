//! Operations on audiences.

mod change;
mod create;
mod delete;

pub use change::AudienceChange;
pub use create::NewAudience;
