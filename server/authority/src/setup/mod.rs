//! First start: turns an empty database into an organisation with an owner and a workspace.
//!
//! There are two ways: the one-time link that the server prints, and `tessera admin create` on the
//! command line. Both end in the same transaction.

mod complete;
mod create_admin;
mod link;

pub use complete::SetupForm;
pub use create_admin::NewAdmin;

use domain::{
    audit_action::AuditAction,
    ids::{UserId, WorkspaceId},
    names::{DisplayName, Email, Slug},
    roles::{InstanceRole, UserKind, WorkspaceRole},
    session::Visitor,
    token::UserSummary,
};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    audit::{adopt_anew, record},
    kernel::{Actor, Change},
    state::Inner,
    store::{instance, members, users, workspaces},
    users::email_taken,
};

/// First start.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub(crate) inner: &'a Inner,
}

/// The validated input of the first transaction.
struct Founding<'a> {
    organisation: &'a DisplayName,
    email: &'a Email,
    name: &'a DisplayName,
    password_hash: &'a str,
    workspace: &'a DisplayName,
}

impl Setup<'_> {
    /// Returns whether this instance still has to be set up.
    #[tracing::instrument(skip_all, fields(
        noun = "setup", verb = "is_open",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn is_open(&self, ctx: &OpContext) -> Result<bool, ServiceError> {
        let mut connection = self.inner.connection().await?;
        Ok(!instance::exists(&mut connection).await?)
    }

    /// Creates organisation, owner and first workspace. Of two concurrent calls, one succeeds.
    async fn found(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        founding: &Founding<'_>,
    ) -> Result<UserSummary, ServiceError> {
        adopt_anew(connection, &self.inner.keys).await?;
        let made = instance::insert(
            connection,
            founding.organisation.as_ref(),
            &self.inner.keys.check_value(),
            ctx.now,
        )
        .await;
        match made {
            Err(error) if error.violates("instance_pkey") => {
                return Err(ServiceError::NotFound("set-up link"));
            }
            other => other?,
        }
        instance::delete_setup_link(connection).await?;
        let owner = UserSummary {
            id: UserId(self.inner.uuid(ctx.now)),
            email: founding.email.to_string(),
            name: founding.name.to_string(),
        };
        let user = users::NewUser {
            id: owner.id,
            kind: UserKind::Person,
            email: founding.email,
            name: founding.name.as_ref(),
            password_hash: Some(founding.password_hash),
            must_change_password: false,
            password_set_by: None,
            instance_role: InstanceRole::Owner,
        };
        users::insert(connection, &user, ctx.now).await.map_err(email_taken)?;
        let workspace = WorkspaceId(self.inner.uuid(ctx.now));
        let slug = first_slug(founding.workspace)?;
        workspaces::insert(connection, workspace, &slug, founding.workspace, ctx.now).await?;
        let role = WorkspaceRole::Admin;
        members::insert(connection, workspace, owner.id, role, None, ctx.now).await?;
        // The person who opened the link is the owner from here on, and the audit rows say so.
        let visitor = Visitor { user: owner.clone(), instance_role: InstanceRole::Owner };
        let ctx = match ctx.actor {
            Actor::Anonymous => OpContext { actor: Actor::User(visitor), ..ctx.clone() },
            _ => ctx.clone(),
        };
        for (action, subject, name) in [
            (AuditAction::InstanceSetUp, None, founding.organisation.as_ref()),
            (AuditAction::UserCreate, Some(owner.id.0), founding.email.as_ref()),
            (AuditAction::WorkspaceCreate, Some(workspace.0), slug.as_ref()),
        ] {
            let change = Change {
                workspace: (action == AuditAction::WorkspaceCreate).then_some(workspace),
                action,
                subject_id: subject,
                subject_name: name,
                before: None,
                after: None,
            };
            record(connection, &ctx, change).await?;
        }
        Ok(owner)
    }
}

/// Returns the slug of the first workspace: suggested by its name, otherwise `workspace-1`.
fn first_slug(name: &DisplayName) -> Result<Slug, ServiceError> {
    match Slug::suggested_by(name.as_ref()) {
        Some(slug) => Ok(slug),
        None => "workspace-1".parse().map_err(ServiceError::internal),
    }
}
