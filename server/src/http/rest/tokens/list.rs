//! `GET /api/v1/workspaces/{ws}/tokens`

use axum::{Json, extract::State};
use domain::{
    names::Slug,
    problem::FieldError,
    token_query::{LIMIT_DEFAULT, TokenQuery},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiPath, ApiQuery, moment},
        rest::{
            errors::QueryErrors,
            schema::{StateBody, TokenPageBody},
        },
    },
    problem::ApiError,
    state::AppState,
};

/// Which tokens to return, in which order, and how many.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only tokens in this state.
    #[param(value_type = Option<StateBody>)]
    state: Option<String>,
    /// Only tokens whose name, hint or owner contains this text, ignoring case.
    #[param(value_type = Option<String>, example = "deploy")]
    q: String,
    /// Only tokens that were created before this time and have not been used since: an RFC 3339
    /// timestamp, or a date (its beginning, UTC).
    #[param(value_type = Option<String>, example = "2026-08-18T12:00:00Z")]
    unused_since: Option<String>,
    /// Only tokens that were never used, when `true`.
    #[param(value_type = Option<bool>)]
    never_used: bool,
    /// Only tokens that expire before this time, including expired ones; same format
    /// as `unused_since`.
    #[param(value_type = Option<String>, example = "2027-08-18")]
    expires_before: Option<String>,
    /// Only tokens that act as this user: e-mail address or ID.
    #[param(value_type = Option<String>, example = "ada@example.com")]
    owner: Option<String>,
    /// Only tokens that are meant for this audience.
    #[param(value_type = Option<String>, example = "default")]
    audience: Option<String>,
    /// Only tokens that were granted this scope, exactly as it is written on them.
    #[param(value_type = Option<String>, example = "rivers:run")]
    scope: Option<String>,
    /// The order: `newest` (default), `oldest`, `name`, `expires` (the next to expire first),
    /// `last_used` (the longest unused first).
    #[param(value_type = Option<String>, example = "newest")]
    sort: Option<String>,
    /// Rows per page, 1 to 200; 25 if absent.
    #[param(minimum = 1, maximum = 200, example = 25)]
    limit: Option<u16>,
    /// Where the page begins: `next` of the previous page.
    cursor: Option<String>,
}

/// List the tokens of a workspace
///
/// Deleted tokens are not listed. Needs the scope `tokens:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/tokens",
    operation_id = "listTokens",
    tag = "Tokens",
    params(
        ("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"),
        ListQuery,
    ),
    responses(
        (status = 200, description = "A page of tokens", body = TokenPageBody),
        QueryErrors,
    ),
)]
pub(crate) async fn list_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<TokenPageBody>, ApiError> {
    let page = state.authority.tokens().list(&context, &workspace, &query.parse()?).await?;
    Ok(Json(page.into()))
}

impl ListQuery {
    fn parse(self) -> Result<TokenQuery, ApiError> {
        let mut errors = Vec::new();
        let unused_since = moment("unused_since", self.unused_since.as_deref(), &mut errors);
        let expires_before = moment("expires_before", self.expires_before.as_deref(), &mut errors);
        let mut refuse = |field: &str, error: String| errors.push(FieldError::new(field, error));
        let state = self.state.as_deref().map(str::parse).transpose().unwrap_or_else(|_| {
            refuse("state", "must be active, disabled, expired or scheduled".to_owned());
            None
        });
        let sort = self.sort.as_deref().map(str::parse).transpose().unwrap_or_else(|_| {
            refuse("sort", "must be newest, oldest, name, expires or last_used".to_owned());
            None
        });
        if !errors.is_empty() {
            return Err(ApiError::invalid(errors));
        }
        Ok(TokenQuery {
            state,
            q: self.q,
            unused_since,
            never_used: self.never_used,
            expires_before,
            owner: self.owner,
            audience: self.audience,
            scope: self.scope,
            sort: sort.unwrap_or_default(),
            limit: self.limit.unwrap_or(LIMIT_DEFAULT),
            cursor: self.cursor,
        })
    }
}
