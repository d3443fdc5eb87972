//! `GET /api/v1/workspaces/{ws}/tokens/export`

use authority::{Format, ServiceError};
use axum::{extract::State, response::Response};
use domain::{
    names::Slug,
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        again::Again,
        caller::Caller,
        extract::{ApiPath, ApiQuery},
        rest::{errors::QueryErrors, export},
    },
    problem::ApiError,
    state::AppState,
};

/// The format of the file.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `jsonl` (default) or `csv`. The header `Accept` with `text/csv` does the same.
    #[param(value_type = Option<String>, example = "csv")]
    format: Option<String>,
}

/// Export the tokens of a workspace
///
/// Returns a file with the records of all tokens of the workspace except deleted ones, oldest
/// first. The file never contains digests or secrets. Cells that a spreadsheet would take for a
/// formula begin with an apostrophe. The caller is authenticated again for each page: if the
/// calling token is deleted or the session ends meanwhile, the transfer is aborted. Needs the scope
/// `tokens:read` of the audience `tessera`.
#[utoipa::path(
    get,
    path = "/api/v1/workspaces/{ws}/tokens/export",
    operation_id = "exportTokens",
    tag = "Tokens",
    params(
        ("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"),
        ExportQuery,
    ),
    responses(
        (status = 200, description = "The file", content(
            (String = "application/jsonl"),
            (String = "text/csv"),
        )),
        QueryErrors,
    ),
)]
pub(crate) async fn export_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    again: Again,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<Response, ApiError> {
    let format = export::format(&headers, query.format.as_deref())?.unwrap_or(Format::Jsonl);
    let query = TokenQuery { sort: TokenSort::Oldest, limit: LIMIT_MAX, ..TokenQuery::default() };
    let first = state.authority.tokens().list(&context, &workspace, &query).await?;
    let transfer = state.authority.transfer();
    let lines = transfer.write_tokens(&context, format, first.items).await?;
    let beginning = format.token_heading() + &lines;
    let name = format!("tokens-{workspace}");
    Ok(export::file(format, &name, beginning, first.next, move |cursor| {
        let (state, context, workspace) = (state.clone(), context.clone(), workspace.clone());
        let again = again.clone();
        let query = TokenQuery { cursor: Some(cursor), ..query.clone() };
        async move {
            let context = again.renew(&state, &context).await?;
            let page = state.authority.tokens().list(&context, &workspace, &query).await?;
            let transfer = state.authority.transfer();
            let lines = transfer.write_tokens(&context, format, page.items).await?;
            Ok::<_, ServiceError>((lines, page.next))
        }
    }))
}
