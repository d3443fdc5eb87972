//! `POST /api/v1/audiences`

use authority::NewAudience;
use axum::extract::State;
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::ApiJson,
        rest::{
            errors::WriteErrors,
            schema::{AudienceBody, AudienceText},
            tagged::Tagged,
        },
    },
    problem::ApiError,
    state::AppState,
};

/// An audience to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAudience, example = json!({"audience": "billing", "name": "Billing API", "description": "Invoices and payments"}))]
pub(crate) struct NewAudienceBody {
    /// Its name in requests; it cannot be changed.
    #[schema(value_type = AudienceText)]
    audience: String,
    /// Its display name: 1 to 100 characters on one line.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What the API does: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: String,
}

/// Create an audience
///
/// An audience is an API that tokens can be created for. It starts without scopes. Only for
/// administrators of the instance.
#[utoipa::path(
    post,
    path = "/api/v1/audiences",
    operation_id = "createAudience",
    tag = "Audiences",
    request_body = NewAudienceBody,
    responses(
        (status = 201, description = "The audience was created", body = AudienceBody, headers(
            ("Location" = String, description = "Its path"),
            ("ETag" = String, description = "Its version"),
        )),
        WriteErrors,
    ),
)]
pub(crate) async fn create_audience(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiJson(body): ApiJson<NewAudienceBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<AudienceBody>), ApiError> {
    let NewAudienceBody { audience: slug, name, description } = body;
    let new = NewAudience { slug, name, description };
    let audience = state.authority.catalogues().create_audience(&context, new).await?;
    let location = format!("/api/v1/audiences/{}", audience.catalogue.audience);
    let tagged = Tagged { version: audience.version, body: audience.into() };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], tagged))
}
