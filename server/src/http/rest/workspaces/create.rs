//! `POST /api/v1/workspaces`

use authority::NewWorkspace;
use axum::{Json, extract::State};
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        caller::Caller,
        extract::ApiJson,
        rest::{errors::WriteErrors, schema::WorkspaceOverviewBody},
    },
    problem::ApiError,
    state::AppState,
};

/// A workspace to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkspace, example = json!({"name": "Rivers", "slug": "rivers"}))]
pub(crate) struct NewWorkspaceBody {
    /// Its display name: 1 to 100 characters on one line.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Its name in paths. If absent, it is derived from the name.
    #[serde(default)]
    #[schema(pattern = r"^[a-z0-9][a-z0-9._-]*(@[a-z0-9][a-z0-9._-]*)?$", max_length = 127)]
    slug: Option<String>,
}

/// Create a workspace
///
/// The caller becomes its administrator. For signed-in administrators of the instance; a token
/// reaches only its own workspace.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces",
    operation_id = "createWorkspace",
    tag = "Workspaces",
    request_body = NewWorkspaceBody,
    responses(
        (status = 201, description = "The workspace was created", body = WorkspaceOverviewBody,
            headers(("Location" = String, description = "The workspace's path"))),
        WriteErrors,
    ),
)]
pub(crate) async fn create_workspace(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiJson(body): ApiJson<NewWorkspaceBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<WorkspaceOverviewBody>), ApiError> {
    let workspaces = state.authority.workspaces();
    let new = NewWorkspace { slug: body.slug, name: body.name };
    let made = workspaces.create(&context, new).await?;
    let location = format!("/api/v1/workspaces/{}", made.slug);
    let overview = workspaces.show(&context, &made.slug).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(overview.into())))
}
