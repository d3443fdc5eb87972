//! `GET /api/v1/audiences`

use axum::{Json, extract::State};

use crate::{
    http::{
        caller::Caller,
        rest::{errors::SelfErrors, schema::AudienceListBody},
    },
    problem::ApiError,
    state::AppState,
};

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
