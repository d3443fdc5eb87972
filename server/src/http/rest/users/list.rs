//! `GET /api/v1/users`

use axum::{Json, extract::State};
use domain::{
    problem::FieldError,
    user::{USERS_LIMIT_DEFAULT, UserQuery},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        caller::Caller,
        extract::ApiQuery,
        rest::{
            errors::QueryErrors,
            schema::{UserKindBody, UserPageBody},
        },
    },
    problem::ApiError,
    state::AppState,
};

/// Which users to return, and how many.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsersQuery {
    /// Only users whose name or address contains this text, ignoring case.
    #[param(value_type = Option<String>, example = "ada")]
    q: String,
    /// Only people, or only service accounts.
    #[param(value_type = Option<UserKindBody>)]
    kind: Option<String>,
    /// Only enabled users (`true`), or only disabled ones (`false`).
    #[param(value_type = Option<bool>)]
    enabled: Option<String>,
    /// Rows per page, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
    /// Where the page begins: `next` of the previous page.
    cursor: Option<String>,
}

/// List users
///
/// Sorted by address. Removed users are not listed. For signed-in administrators of the instance.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "listUsers",
    tag = "Users",
    params(UsersQuery),
    responses((status = 200, description = "A page of users", body = UserPageBody), QueryErrors),
)]
pub(crate) async fn list_users(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiQuery(query): ApiQuery<UsersQuery>,
) -> Result<Json<UserPageBody>, ApiError> {
    let page = state.authority.users().list(&context, &query.parse()?).await?;
    Ok(Json(page.into()))
}

impl UsersQuery {
    fn parse(self) -> Result<UserQuery, ApiError> {
        let mut errors = Vec::new();
        let kind = self.kind.as_deref().map(str::parse).transpose().unwrap_or_else(|_| {
            errors.push(FieldError::new("kind", "must be person or service"));
            None
        });
        let enabled = self.enabled.as_deref().map(str::parse).transpose().unwrap_or_else(|_| {
            errors.push(FieldError::new("enabled", "must be true or false"));
            None
        });
        if !errors.is_empty() {
            return Err(ApiError::invalid(errors));
        }
        Ok(UserQuery {
            q: self.q,
            kind,
            enabled,
            limit: self.limit.unwrap_or(USERS_LIMIT_DEFAULT),
            cursor: self.cursor,
        })
    }
}
