//! Whether a calling token is about to be stopped.

use domain::ids::{TokenId, WorkspaceId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    ServiceError,
    store::{
        secret_holders::{self, Sought},
        secret_stops::{self as store, returning},
    },
};

/// Returns whether a note says that this token is to be disabled. The caller holds the lock of
/// changes by tokens of the workspace.
pub(crate) async fn is_being_disabled(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    token: TokenId,
    now: OffsetDateTime,
) -> Result<bool, ServiceError> {
    let ids = [token.0];
    for stop in store::in_workspace(connection, workspace).await? {
        let scopes = returning();
        let sought = Sought { ids: Some(&ids), ..stop.sought(&scopes) };
        if !secret_holders::exposed(connection, None, &sought, now).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
