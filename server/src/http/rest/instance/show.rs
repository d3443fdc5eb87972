//! `GET /api/v1/instance`

use axum::{Json, extract::State};

use crate::{
    http::{
        caller::Caller,
        rest::{errors::SelfErrors, schema::InstanceBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Show the instance
///
/// The build of the responding server, the database, and all servers with their leases. For
/// signed-in administrators of the instance.
#[utoipa::path(
    get,
    path = "/api/v1/instance",
    operation_id = "showInstance",
    tag = "Instance",
    responses((status = 200, description = "The instance", body = InstanceBody), SelfErrors),
)]
pub(crate) async fn show_instance(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<Json<InstanceBody>, ApiError> {
    let view = state.authority.replicas().list(&context).await?;
    Ok(Json(InstanceBody::new(view, state.config.public_origin())))
}
