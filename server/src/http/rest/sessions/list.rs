//! `GET /api/v1/sessions`

use axum::{Json, extract::State};
use domain::session::{SESSIONS_LIMIT_DEFAULT, SessionQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        caller::Caller,
        extract::ApiQuery,
        rest::{errors::QueryErrors, schema::SessionPageBody},
    },
    problem::ApiError,
    state::AppState,
};

/// Which sessions to return, and how many.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionsQuery {
    /// Only sessions of this user: ID or e-mail address.
    #[param(value_type = Option<String>, example = "ada@example.com")]
    user: Option<String>,
    /// Rows per page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
    /// Where the page begins: `next` of the previous page.
    cursor: Option<String>,
}

/// List sessions
///
/// Active sessions, newest first: your own, or those of all users for administrators of the
/// instance. For signed-in people; a token cannot see sessions.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    operation_id = "listSessions",
    tag = "Sessions",
    params(SessionsQuery),
    responses((status = 200, description = "A page of sessions", body = SessionPageBody), QueryErrors),
)]
pub(crate) async fn list_sessions(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiQuery(query): ApiQuery<SessionsQuery>,
) -> Result<Json<SessionPageBody>, ApiError> {
    let query = SessionQuery {
        user: query.user,
        limit: query.limit.unwrap_or(SESSIONS_LIMIT_DEFAULT),
        cursor: query.cursor,
    };
    let page = state.authority.sessions().list(&context, &query).await?;
    Ok(Json(page.into()))
}
