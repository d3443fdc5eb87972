//! `GET /api/v1/audiences`

use axum::{Json, extract::State};

use super::super::{errors::SelfErrors, schema::AudienceListBody};
use crate::http::{AppState, caller::Caller, problem::ApiError};

/// List audiences and their scopes
///
/// Everything that a token can be created for.
#[utoipa::path(
    get,
    path = "/api/v1/audiences",
    operation_id = "listAudiences",
    tag = "Audiences",
    responses((status = 200, description = "The audiences", body = AudienceListBody), SelfErrors),
)]
pub(crate) async fn list_audiences(
    State(state): State<AppState>,
    Caller(context): Caller,
) -> Result<Json<AudienceListBody>, ApiError> {
    let audiences = state.authority.catalogues().audiences(&context).await?;
    let items = audiences.into_iter().map(Into::into).collect();
    Ok(Json(AudienceListBody { items, next: None }))
}
