//! The audit log: one row per change, in the change's own transaction. If the row cannot be
//! written, the change doesn't happen.
//!
//! The rows of each workspace, and those of the instance, form chains (`kernel/audit_chain.rs`): a person who
//! changes the database directly cannot prevent [`AuditLog::verify`] from detecting it.
//!
//! Two changes in one workspace are written one after the other: the second one waits at the end of
//! the chain for the transaction of the first one (`record`).
//!
//! Refusals change nothing, but also leave rows, a moment later and in limited number
//! ([`crate::refusals`]).

mod adopt;
mod damage;
mod list;
mod record;
mod verify;
mod walk;

pub(crate) use self::{
    adopt::{adopt, adopt_anew},
    record::{hold_end, record, record_all, record_by},
};
pub use self::{
    damage::Damage,
    list::{AuditPage, AuditQuery, AuditScope, EXPORT_PAGE},
    verify::{ChainReport, KnownHead},
};

use domain::{access::Permission, audit::AuditEvent, names::Slug, roles::InstanceRole};

use crate::{
    ServiceError, access,
    kernel::{Actor, OpContext},
    state::Inner,
    store::audit as store,
};

/// The maximum number of latest changes.
const RECENT_MAX: u16 = 200;

/// The operations on the audit log.
#[derive(Clone, Copy)]
pub struct AuditLog<'a> {
    pub(crate) inner: &'a Inner,
}

impl AuditLog<'_> {
    /// Returns the latest changes in a workspace, newest first: `limit` rows, at most 200.
    #[tracing::instrument(skip_all, fields(
        noun = "audit", verb = "recent",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn recent(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        limit: u16,
    ) -> Result<Vec<AuditEvent>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, workspace, Permission::AuditRead).await?;
        let limit = i64::from(limit.clamp(1, RECENT_MAX));
        Ok(store::recent(&mut connection, access.tenant(), limit).await?)
    }
}

/// Checks that the caller may read the log of the whole instance.
fn reads_instance(ctx: &OpContext) -> Result<(), ServiceError> {
    match &ctx.actor {
        Actor::Operator => Ok(()),
        Actor::User(visitor) if visitor.instance_role != InstanceRole::Member => Ok(()),
        Actor::User(_) => Err(ServiceError::Forbidden(
            "Only instance owners, administrators and auditors can do this.",
        )),
        Actor::Token(_) => {
            Err(ServiceError::Forbidden("A token can read only the log of its own workspace."))
        }
        Actor::Restricted(_) => Err(ServiceError::PasswordChangeRequired),
        Actor::Anonymous => Err(ServiceError::Unauthenticated),
    }
}
