//! `POST /api/v1/audiences/{slug}/scopes`

use authority::NewScope;
use axum::extract::State;
use domain::names::AudienceSlug;
use http::StatusCode;
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

/// A scope to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewScope, example = json!({
    "name": "table://my.app.**",
    "description": "Query the tables of my.app",
    "risk": "read",
    "group": "Tables"
}))]
pub(crate) struct NewScopeBody {
    /// Its name, or a URI pattern, of which tokens can hold any part. It cannot be changed.
    #[schema(value_type = ScopeText)]
    name: String,
    /// The access that it gives, in one sentence: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: String,
    /// How much harm it can do.
    #[serde(default)]
    risk: RiskBody,
    /// Scopes of this audience that it implies. A URI implies nothing.
    #[serde(default)]
    #[schema(value_type = Vec<ScopeText>)]
    implies: Vec<String>,
    /// Its group: 1 to 100 characters. The group is created if it does not exist.
    #[schema(min_length = 1, max_length = 100)]
    group: String,
    /// What the group is about: up to 1,000 characters. If absent, the present description stays.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    group_description: Option<String>,
    /// Its place in the group, 0 for the first. If absent, it comes last.
    #[serde(default)]
    #[schema(maximum = 65_535)]
    position: Option<u16>,
}

/// Add a scope
///
/// Only for administrators of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/audiences/{slug}/scopes",
    operation_id = "addScope",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "default"),
        IfMatchHeader,
    ),
    request_body = NewScopeBody,
    responses(
        (status = 201, description = "The scope was added", body = ScopeEntryBody,
            headers(("ETag" = String, description = "The audience's version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn add_scope(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(slug): ApiPath<AudienceSlug>,
    IfMatch(expected): IfMatch,
    ApiJson(body): ApiJson<NewScopeBody>,
) -> Result<(StatusCode, Tagged<ScopeEntryBody>), ApiError> {
    let catalogues = state.authority.catalogues();
    let (scope, version) = catalogues.add_scope(&context, &slug, body.into(), expected).await?;
    Ok((StatusCode::CREATED, Tagged { version, body: scope.into() }))
}

impl From<NewScopeBody> for NewScope {
    fn from(body: NewScopeBody) -> Self {
        Self {
            name: body.name,
            description: body.description,
            risk: body.risk.into(),
            implies: body.implies,
            group: body.group,
            group_description: body.group_description,
            position: body.position.map(usize::from),
        }
    }
}
