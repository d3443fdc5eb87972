//! `PATCH /api/v1/audiences/{slug}/scopes/{name}`

use authority::ScopeChange;
use axum::extract::State;
use domain::{catalogue::ScopeName, names::AudienceSlug};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath, IfMatch, IfMatchHeader},
        rest::{
            errors::ChangeErrors,
            schema::{RiskBody, ScopeEntryBody, ScopeText},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScopeChange, example = json!({"description": "Run rivers and cancel their runs.", "risk": "write"}))]
pub(crate) struct ScopeChangeBody {
    /// The access that it gives, in one sentence: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// How much harm it can do.
    #[serde(default)]
    risk: Option<RiskBody>,
    /// Scopes of this audience that it implies, in place of the present ones. Tokens that hold this
    /// scope gain the new ones immediately, and lose those that are no longer named.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ScopeText>>)]
    implies: Option<Vec<String>>,
    /// Its group: 1 to 100 characters. The group is created if it does not exist.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    group: Option<String>,
    /// What the group is about, for all of its scopes: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    group_description: Option<String>,
    /// Its place in the group, 0 for the first.
    #[serde(default)]
    #[schema(maximum = 65_535)]
    position: Option<u16>,
}

/// Change a scope
///
/// Its name cannot be changed, because tokens hold it. Only for administrators of the instance.
#[utoipa::path(
    patch,
    path = "/api/v1/audiences/{slug}/scopes/{name}",
    operation_id = "changeScope",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "default"),
        ("name" = String, Path, description = "The scope's name, percent-encoded: `table%3A%2F%2Fmy.app.**`", example = "rivers:run"),
        IfMatchHeader,
    ),
    request_body = ScopeChangeBody,
    responses(
        (status = 200, description = "The scope after the change", body = ScopeEntryBody,
            headers(("ETag" = String, description = "The audience's version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn change_scope(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath((slug, name)): ApiPath<(AudienceSlug, ScopeName)>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<ScopeChangeBody>,
) -> Result<Tagged<ScopeEntryBody>, ApiError> {
    let catalogues = state.authority.catalogues();
    let (scope, version) =
        catalogues.change_scope(&context, &slug, &name, body.into(), expected).await?;
    Ok(Tagged { version, body: scope.into() })
}

impl From<ScopeChangeBody> for ScopeChange {
    fn from(body: ScopeChangeBody) -> Self {
        Self {
            description: body.description,
            risk: body.risk.map(Into::into),
            implies: body.implies,
            group: body.group,
            group_description: body.group_description,
            position: body.position.map(usize::from),
        }
    }
}
