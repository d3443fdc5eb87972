//! Workspaces and their members.

mod create;
mod list;
mod members;
mod show;

pub use create::NewWorkspace;

use domain::{access::Permission, policy::Policy, workspace::TokenCounts};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    ServiceError,
    access::Access,
    authority::Inner,
    store::{policies, workspaces as store},
};

/// Workspaces and their members.
#[derive(Clone, Copy)]
pub struct Workspaces<'a> {
    pub(crate) inner: &'a Inner,
}

/// The policy in force in a workspace.
pub(crate) fn effective_policy(levels: &policies::Levels) -> Policy {
    Policy::default_with(&levels.instance).narrowed_by(&levels.workspace)
}

/// Counts for those who may see tokens; zeroes for others.
async fn counts(
    connection: &mut PgConnection,
    access: &Access,
    now: OffsetDateTime,
) -> Result<TokenCounts, ServiceError> {
    if access.permissions.allows(Permission::TokensRead) {
        Ok(store::counts(connection, access.tenant(), now).await?)
    } else {
        Ok(TokenCounts::default())
    }
}
