//! Operations on the scopes of an audience.

mod add;
mod change;
mod delete;
mod retire;

pub use add::NewScope;
pub use change::ScopeChange;
pub use retire::Retired;
