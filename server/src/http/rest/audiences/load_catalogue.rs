//! `PUT /api/v1/audiences/{slug}/catalogue`

use authority::{LoadOptions, OpContext, catalogue_file::FileError};
use axum::extract::{FromRequest, Request, State};
use domain::{
    catalogue::Catalogue,
    names::AudienceSlug,
    problem::{FieldError, ProblemCode},
};
use http::header;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    http::{
        body::{self, Readers},
        caller::Caller,
        extract::{ApiJson, ApiPath, ApiQuery, IfMatch, IfMatchHeader},
        rest::{
            errors::ChangeErrors,
            schema::{AudienceText, ChangesBody, RiskBody, ScopeText},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// How a catalogue is loaded.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct LoadQuery {
    /// Only report what would change, and which tokens would lose scopes.
    dry_run: bool,
    /// Retire missing scopes that tokens hold, instead of refusing the catalogue.
    retire: bool,
}

/// A complete catalogue: loading it leaves the audience with exactly these scopes.
#[derive(ToSchema)]
#[schema(as = Catalogue)]
#[expect(dead_code, reason = "documents the body; the authority's own type is parsed")]
pub(crate) struct CatalogueText {
    /// The audience; the same as in the path.
    audience: AudienceText,
    /// Its display name.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What the API does.
    #[schema(required = false, max_length = 1_000)]
    description: String,
    /// Groups of scopes, in the order in which they are shown.
    #[schema(required = false)]
    groups: Vec<CatalogueGroupText>,
}

/// Scopes that belong together.
#[derive(ToSchema)]
#[schema(as = CatalogueGroup)]
#[expect(dead_code, reason = "documents the body; the authority's own type is parsed")]
pub(crate) struct CatalogueGroupText {
    /// The heading.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What the group is about.
    #[schema(required = false, max_length = 1_000)]
    description: String,
    /// Its scopes.
    #[schema(required = false)]
    scopes: Vec<CatalogueScopeText>,
}

/// One permission.
#[derive(ToSchema)]
#[schema(as = CatalogueScope)]
#[expect(dead_code, reason = "documents the body; the authority's own type is parsed")]
pub(crate) struct CatalogueScopeText {
    /// Its name, or a URI pattern.
    name: ScopeText,
    /// The access that it gives.
    #[schema(max_length = 1_000)]
    description: String,
    /// How much harm it can do.
    #[schema(required = false)]
    risk: RiskBody,
    /// Scopes of this catalogue that it implies.
    #[schema(required = false)]
    implies: Vec<ScopeText>,
}

/// Load a catalogue
///
/// Creates the audience, or replaces its scopes with those of the body, JSON or TOML. Scopes
/// that the body lacks are removed. If tokens hold them, the catalogue is refused (422), unless
/// `retire=true` retires them instead. Send `dry_run=true` first. Only for administrators of
/// the instance.
#[utoipa::path(
    put,
    path = "/api/v1/audiences/{slug}/catalogue",
    operation_id = "loadCatalogue",
    tag = "Audiences",
    params(
        ("slug" = String, Path, description = "The audience's name in requests", example = "billing"),
        IfMatchHeader,
        LoadQuery,
    ),
    request_body(
        content(
            (CatalogueText = "application/json", example = json!({
                "audience": "billing",
                "name": "Billing API",
                "groups": [{"name": "Invoices", "scopes": [
                    {"name": "invoices:read", "description": "See invoices."},
                    {"name": "invoices:write", "description": "Create invoices.", "risk": "write", "implies": ["invoices:read"]}
                ]}]
            })),
            (String = "application/toml"),
        ),
    ),
    responses(
        (status = 200, description = "The changes, or with `dry_run` the changes that it would make", body = ChangesBody,
            headers(("ETag" = String, description = "The audience's version"))),
        ChangeErrors,
    ),
)]
pub(crate) async fn load_catalogue(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(slug): ApiPath<AudienceSlug>,
    ApiQuery(LoadQuery { dry_run, retire }): ApiQuery<LoadQuery>,
    IfMatch(expected): IfMatch,
    file: CatalogueFile,
) -> Result<Tagged<ChangesBody>, ApiError> {
    let catalogue = file.read(&state, &context).await?;
    if catalogue.audience != slug {
        let message = format!("must be {slug}, as in the path");
        return Err(ApiError::invalid(vec![FieldError::new("audience", message)]));
    }
    let options = LoadOptions { dry_run, retire, expected };
    let changes = state.authority.catalogues().load(&context, catalogue, options).await?;
    Ok(Tagged { version: changes.version, body: changes.into() })
}

/// A request body, JSON or TOML. TOML takes longer to parse, so it is parsed only for callers who
/// may load a catalogue.
pub(crate) enum CatalogueFile {
    Json(Catalogue),
    Toml(String),
}

impl FromRequest<AppState> for CatalogueFile {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Self::Rejection> {
        body::admitted(request.extensions())?;
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/json" => {
                let ApiJson(catalogue) = ApiJson::from_request(request, state).await?;
                Ok(Self::Json(catalogue))
            }
            "application/toml" => {
                let bytes = body::read(request, Readers::Known).await?;
                let text =
                    String::from_utf8(bytes.to_vec()).map_err(|_| toml_error("it is not UTF-8"))?;
                Ok(Self::Toml(text))
            }
            _ => Err(ApiError::new(
                ProblemCode::UnsupportedMediaType,
                "The body must be JSON or TOML, sent with \"Content-Type: application/json\" or \"application/toml\".",
            )),
        }
    }
}

impl CatalogueFile {
    async fn read(self, state: &AppState, context: &OpContext) -> Result<Catalogue, ApiError> {
        match self {
            Self::Json(catalogue) => Ok(catalogue),
            Self::Toml(text) => toml(state.authority.catalogues().read_toml(context, text).await?),
        }
    }
}

fn toml(read: Result<Catalogue, FileError>) -> Result<Catalogue, ApiError> {
    read.map_err(|error| {
        // Keep the position and the reason; the lines between them quote the file itself.
        let error = error.to_string();
        let mut lines = error.lines().filter(|line| !line.is_empty());
        let place = lines.next().unwrap_or_default().to_owned();
        toml_error(&match lines.next_back() {
            Some(reason) => format!("{place}: {reason}"),
            None => place,
        })
    })
}

fn toml_error(why: &str) -> ApiError {
    ApiError::invalid(vec![FieldError::new("body", format!("is invalid: {why}"))])
}
