//! `POST /api/v1/audiences/{slug}/scopes/{name}/retire`

use axum::extract::State;
use domain::{catalogue::ScopeName, names::AudienceSlug};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{errors::ChangeErrors, schema::RetiredBody, tagged::Tagged},
    },
    problem::ApiError,
    state::AppState,
};

/// How a scope is retired.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retirement, example = json!({"dry_run": true}))]
pub(crate) struct RetirementBody {
    /// Only report which tokens would lose scopes.
    #[serde(default)]
    dry_run: bool,
}

/// Retire a scope
///
/// A retired scope grants nothing any more, and new tokens cannot get it. Its name stays reserved,
/// and it can be brought back into use. Send `{"dry_run": true}` first: the response lists the
/// tokens that would lose scopes. Only for administrators of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/audiences/{slug}/scopes/{name}/retire",
    operation_id = "retireScope",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "default"),
        ("name" = String, Path, description = "The scope's name, percent-encoded: `table%3A%2F%2Fmy.app.**`", example = "rivers:run"),
        IfMatchHeader,
    ),
    request_body = RetirementBody,
    responses(
        (status = 200, description = "The effect, or with `dry_run` the effect that it would have", body = RetiredBody,
            headers(("ETag" = String, description = "The audience's version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn retire_scope(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((slug, name)): ApiPath<(AudienceSlug, ScopeName)>,
    IfMatch(expected): IfMatch,
    ApiJson(RetirementBody { dry_run }): ApiJson<RetirementBody>,
) -> Result<Tagged<RetiredBody>, ApiError> {
    let catalogues = state.authority.catalogues();
    let retired = catalogues.retire_scope(&context, &slug, &name, dry_run, expected).await?;
    Ok(Tagged { version: retired.version, body: RetiredBody::of(retired, dry_run) })
}
