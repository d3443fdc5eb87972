//! `GET /api/v1/tokens/{id}/usage`

use axum::{Json, extract::State};
use domain::{ids::TokenId, usage::HOURS_DEFAULT};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery},
        rest::{errors::QueryErrors, schema::UsageBody},
    },
    problem::ApiError,
    state::AppState,
};

/// The period to count.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// Hours, including the current one: 1 to 720; 24 if absent.
    #[param(minimum = 1, maximum = 720, example = 24)]
    hours: Option<u16>,
}

/// Show how often a token was presented
///
/// Counts per hour, oldest first, including hours without use. Uses in the last few seconds may be
/// missing. Counts are kept for 90 days. Needs the scope `tokens:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/tokens/{id}/usage",
    operation_id = "showTokenUsage",
    tag = "Tokens",
    params(("id" = Uuid, Path, description = "The token's ID"), UsageQuery),
    responses((status = 200, description = "The counts", body = UsageBody), QueryErrors),
)]
pub(crate) async fn show_usage(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(id): ApiPath<TokenId>,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<UsageBody>, ApiError> {
    let hours = query.hours.unwrap_or(HOURS_DEFAULT);
    Ok(Json(state.authority.tokens().usage(&context, id, hours).await?.into()))
}
