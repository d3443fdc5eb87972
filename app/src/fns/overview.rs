//! The data of a workspace's overview page.

use domain::{audit::AuditEvent, workspace::WorkspaceOverview};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// The overview of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// The server's clock, from which "4 minutes ago" is counted.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The workspace, its policy and its counts.
    pub overview: WorkspaceOverview,
    /// The latest events; `None` if the visitor may not read the audit log.
    pub events: Option<Vec<AuditEvent>>,
}

/// Returns the overview of a workspace.
#[server(prefix = "/console/fn", endpoint = "overview", input = server_fn::codec::Json)]
pub async fn load_overview(workspace: String) -> Result<Glance, ConsoleError> {
    use authority::ServiceError;

    use crate::{fns::slug, request};

    let (request, context) = request::signed_in()?;
    let slug = slug(&workspace)?;
    let failed = |error: ServiceError| request::failed(&request, &error);
    let overview = request.authority.workspaces().show(&context, &slug).await.map_err(failed)?;
    let events = match request.authority.audit().recent(&context, &slug, 10).await {
        Ok(events) => Some(events),
        Err(ServiceError::Forbidden(_) | ServiceError::NotFound(_)) => None,
        Err(error) => return Err(request::failed(&request, &error)),
    };
    Ok(Glance { now: context.now, overview, events })
}
