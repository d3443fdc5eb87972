//! Workspaces.

pub mod first_steps;
pub mod list;
pub mod recent;
pub mod settings;
pub mod show;

pub use list::WorkspacesPage;
pub use settings::SettingsPage;
pub use show::OverviewPage;
