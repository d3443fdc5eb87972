//! `POST /api/v1/workspaces/{ws}/tokens/bulk`

use authority::{BulkAction, BulkOutcome};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use domain::{ids::TokenId, names::Slug};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    http::{
        caller::Caller,
        extract::{ApiJson, ApiPath},
        refusals::Refused,
        rest::{errors::BulkErrors, schema::ProblemBody},
    },
    problem::ApiError,
    state::AppState,
};

/// An action, and the tokens to apply it to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Bulk, example = json!({
    "action": "disable", "ids": ["0198c2c4-7a00-7000-8000-00000000002a"]
}))]
pub(crate) struct BulkBody {
    /// The action to take on each of them.
    action: ActionBody,
    /// The tokens: 1 to 100, without duplicates.
    #[schema(value_type = Vec<Uuid>, min_items = 1, max_items = 100)]
    ids: Vec<TokenId>,
    /// `true` to do the same with the tokens that each of them created, and with those that these
    /// created in turn, as far as the caller can reach them. Only for `disable` and `delete`.
    #[serde(default)]
    children: bool,
}

/// The actions that can be taken on many tokens at once.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BulkAction)]
pub(crate) enum ActionBody {
    /// Enable them.
    Enable,
    /// Disable them.
    Disable,
    /// Expire them now.
    Expire,
    /// Delete them permanently.
    Delete,
}

/// The result for each token, in the order of the request.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkResult)]
pub(crate) struct BulkResultBody {
    /// One result for each ID.
    items: Vec<BulkItemBody>,
}

/// The result for one token.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkItem, example = json!({
    "id": "0198c2c4-7a00-7000-8000-00000000002a", "status": 200
}))]
pub(crate) struct BulkItemBody {
    /// The token's ID.
    id: Uuid,
    /// The status that the single operation on this token would have returned: 200, or 204 if it
    /// was deleted.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// Why the action failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemBody>, nullable = false)]
    problem: Option<domain::problem::Problem>,
}

/// Change many tokens
///
/// Takes the same action on up to 100 tokens of a workspace. Each succeeds or fails on its own: a
/// failure does not undo the others. Needs the scope `tokens:write` of the audience `tessera`.
#[utoipa::path(
    post,
    path = "/api/v1/workspaces/{ws}/tokens/bulk",
    operation_id = "bulkTokens",
    tag = "Tokens",
    params(("ws" = String, Path, description = "The workspace's slug", example = "workspace-1")),
    request_body = BulkBody,
    responses(
        (status = 200, description = "The result for each token", body = BulkResultBody),
        BulkErrors,
    ),
)]
pub(crate) async fn bulk_tokens(
    State(state): State<AppState>,
    Caller(context): Caller,
    ApiPath(workspace): ApiPath<Slug>,
    ApiJson(body): ApiJson<BulkBody>,
) -> Result<Response, ApiError> {
    let tokens = state.authority.tokens();
    let (action, ids) = (body.action.into(), &body.ids);
    let outcomes =
        tokens.bulk_with_children(&context, &workspace, action, ids, body.children).await?;
    let items: Vec<BulkItemBody> =
        outcomes.into_iter().map(|outcome| BulkItemBody::of(body.action, outcome)).collect();
    let code = |item: &BulkItemBody| Some((item.id, item.problem.as_ref()?.code));
    let refused = Refused::of_many(items.iter().filter_map(code));
    let mut response = Json(BulkResultBody { items }).into_response();
    if let Some(refused) = refused {
        refused.mark(&mut response);
    }
    Ok(response)
}

impl From<ActionBody> for BulkAction {
    fn from(action: ActionBody) -> Self {
        match action {
            ActionBody::Enable => Self::Enable,
            ActionBody::Disable => Self::Disable,
            ActionBody::Expire => Self::Expire,
            ActionBody::Delete => Self::Delete,
        }
    }
}

impl BulkItemBody {
    fn of(action: ActionBody, outcome: BulkOutcome) -> Self {
        let problem = outcome.outcome.err().map(|error| error.problem());
        let done = if matches!(action, ActionBody::Delete) { 204 } else { 200 };
        let status = problem.as_ref().map_or(done, |problem| problem.status);
        Self { id: outcome.id.0, status, problem }
    }
}
