//! `DELETE /api/v1/sessions`

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        caller::Caller,
        extract::ApiQuery,
        rest::{errors::QueryErrors, schema::EndedBody},
    },
    problem::ApiError,
    state::AppState,
};

/// The user whose sessions end.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct EndQuery {
    /// Id or e-mail address of the user; the caller if absent.
    #[param(value_type = Option<String>, example = "bob@example.com")]
    user: Option<String>,
}

/// End all sessions of a user
///
/// Ends every session except the one that sends the request, for instance after a laptop is lost or
/// a password is exposed. People can end their own sessions; administrators of the instance can end
/// any user's.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions",
    operation_id = "endSessions",
    tag = "Sessions",
    params(EndQuery),
    responses((status = 200, description = "The sessions were ended", body = EndedBody), QueryErrors),
)]
pub(crate) async fn end_sessions(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiQuery(query): ApiQuery<EndQuery>,
) -> Result<Json<EndedBody>, ApiError> {
    let ended = state.authority.sessions().end_all(&context, query.user.as_deref()).await?;
    Ok(Json(EndedBody { ended }))
}
