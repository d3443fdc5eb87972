//! `POST /api/v1/workspaces/{ws}/tokens/import`

use authority::{Format, OpContext, Purpose};
use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    response::Response,
};
use domain::{names::Slug, problem::ProblemCode};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::{
        body,
        caller::Caller,
        extract::{ApiPath, ApiQuery},
        idempotency::{IdempotencyKeyHeader, Repeatable},
        rest::{errors::WriteErrors, schema::ImportBody},
    },
    problem::ApiError,
    state::AppState,
};

/// How the file is imported.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// `true` to report what would be done, without doing it. Reveals nothing about secrets of
    /// other workspaces.
    #[param(value_type = Option<bool>)]
    dry_run: bool,
}

/// Import tokens of another system
///
/// Imports tokens whose SHA-256 digests another system holds, so that their secrets keep working.
/// The file is JSON lines or CSV with headings, at most 1,000 rows and 1 MiB, with `digest` (the
/// SHA-256 of the secret, in hexadecimal digits or base64), `name`, and optionally `owner` (e-mail
/// address or ID; the caller if absent), `scopes`, `audiences` (lists; in CSV separated by spaces),
/// `expires_at` (as for a new token) and `description`. Either all rows become tokens or none do:
/// `errors` names the invalid rows, counted from 1. Policy applies to limits, lifetimes and names.
/// A digest that Tessera already has is refused, even that of a deleted token. Needs the scope
/// `tokens:write` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces/{ws}/tokens/import",
    operation_id = "importTokens",
    tag = "Tokens",
    params(
        ("ws" = String, Path, description = "The workspace's slug", example = "workspace-1"),
        IdempotencyKeyHeader,
        ImportQuery,
    ),
    request_body(content(
        (String = "application/jsonl", example = "{\"digest\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"name\":\"ci\",\"scopes\":[\"rivers:run\"]}\n"),
        (String = "text/csv", example = "digest,name,scopes\r\n9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08,ci,rivers:run\r\n"),
    )),
    responses(
        (status = 200, description = "The tokens that would be imported (`dry_run`)", body = ImportBody),
        (status = 201, description = "The tokens were imported", body = ImportBody),
        WriteErrors,
    ),
)]
pub(crate) async fn import_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    ApiQuery(query): ApiQuery<ImportQuery>,
    repeatable: Repeatable,
    request: Request,
) -> Result<Response, ApiError> {
    // Receive the file only from callers who may import.
    state.authority.transfer().may_import(&context, &workspace).await?;
    let format = format(request.headers())?;
    let bytes = body::read_file(request).await?;
    let (authority, of, to) = (state.authority.clone(), context.clone(), workspace.clone());
    repeatable
        .once(&authority, &of, Purpose::Import(&to), |_| {
            import(state, context, workspace, format, bytes, query.dry_run)
        })
        .await
}

async fn import(
    state: AppState,
    context: OpContext,
    workspace: Slug,
    format: Format,
    bytes: Bytes,
    dry_run: bool,
) -> Result<(StatusCode, Json<ImportBody>), ApiError> {
    let transfer = state.authority.transfer();
    let report = transfer.import(&context, &workspace, format, &bytes, dry_run).await?;
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(report.into())))
}

fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "text/csv" => Ok(Format::Csv),
        "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => {
            Ok(Format::Jsonl)
        }
        _ => Err(ApiError::new(
            ProblemCode::UnsupportedMediaType,
            "The file must be sent with the header \"Content-Type: application/jsonl\" or \"Content-Type: text/csv\".",
        )),
    }
}
