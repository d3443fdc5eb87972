//! Policies, of the instance and of workspaces, and presets that set all rules of one.

mod apply_preset;
mod change;
mod preview;
mod show;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(show::show_instance_policy, change::change_instance_policy))
        .routes(routes!(preview::preview_instance_policy))
        .routes(routes!(apply_preset::apply_instance_preset))
        .routes(routes!(show::show_policy, change::change_policy))
        .routes(routes!(preview::preview_policy))
        .routes(routes!(apply_preset::apply_preset))
}
