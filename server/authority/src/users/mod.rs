//! The users of the instance: people and service accounts.
//!
//! Administrators of the instance manage them, signed in or on the command line. Tokens cannot,
//! because a token only reaches its own workspace. Only owners can create, change and remove
//! owners, and at least one enabled owner must remain.
//!
//! `change` also enables and disables. Passwords and accounts are in [`crate::passwords`].

mod change;
mod create;
mod list;
mod lose;
mod raise;
mod remove;
mod second_look;
mod show;

pub use change::{ChangedUser, UserChange};
pub use create::NewUser;
use lose::lose;

use domain::{
    audit_action::AuditAction,
    ids::UserId,
    roles::{InstanceRole, UserKind},
    token::UserSummary,
    user::User,
};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::{Change, StoreError},
    state::Inner,
    store::{
        addresses::{self, AddressConflict},
        passwords::{self, DoubtfulPassword},
        sessions, users as store, workspaces,
    },
};

/// The operations on users.
#[derive(Clone, Copy)]
pub struct Users<'a> {
    pub(crate) inner: &'a Inner,
}

impl Users<'_> {
    /// Returns the people whose password may not be their own, with the reason: cases that the
    /// upgrade from version 0.1 could not decide.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "doubtful_passwords",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn doubtful_passwords(
        &self,
        ctx: &OpContext,
    ) -> Result<Vec<DoubtfulPassword>, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        Ok(passwords::doubtful(&mut connection).await?)
    }

    /// Returns the users of version 0.1 whose address can be confused with another user's.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "address_conflicts",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn address_conflicts(
        &self,
        ctx: &OpContext,
    ) -> Result<Vec<AddressConflict>, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        Ok(addresses::conflicts(&mut connection).await?)
    }
}

/// Refuses service accounts as owners of the instance.
fn check_kind(kind: UserKind, role: InstanceRole) -> Result<(), ServiceError> {
    if kind == UserKind::Service && role == InstanceRole::Owner {
        let message = "must not be owner: a service account never signs in";
        return Err(ServiceError::invalid("instance_role", message));
    }
    Ok(())
}

/// Refuses to remove the last enabled owner. The caller holds [`crate::store::locks::people`], so that one
/// owner remains if two demote each other at the same time. Servers of 0.1 lock the instance's row
/// instead, which comes after all locks that a tenant controls.
async fn check_last_owner(
    connection: &mut PgConnection,
    user: &User,
    stays_owner: bool,
) -> Result<(), ServiceError> {
    workspaces::lock_instance(connection).await?;
    let is_owner = user.instance_role == InstanceRole::Owner && user.enabled;
    if is_owner && !stays_owner && store::other_owners(connection, user.summary.id).await? == 0 {
        return Err(ServiceError::LastOwner);
    }
    Ok(())
}

/// Expires links, and passwords that must be changed, if the user who gave them may no longer do so
/// after this change. Ends the sessions of these people, who need a new link. The caller holds
/// [`crate::store::locks::people`], so that roles cannot change meanwhile. Returns the people whose
/// passwords were expired, with the number of their ended sessions, for the log.
async fn end_unmade(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<(UserSummary, u64)>, ServiceError> {
    let mut unmade = Vec::new();
    for person in passwords::end_unmade(connection, user).await? {
        let ended = sessions::end_others(connection, person.id, None).await?;
        unmade.push((person, ended));
    }
    Ok(unmade)
}

/// Returns the addresses of people whose passwords were expired.
fn addresses(ended: &[(UserSummary, u64)]) -> Vec<String> {
    ended.iter().map(|(person, _)| person.email.clone()).collect()
}

async fn note_password_end(
    connection: &mut PgConnection,
    ctx: &OpContext,
    person: &UserSummary,
    ended_sessions: u64,
) -> Result<(), ServiceError> {
    record(connection, ctx, password_end(person, ended_sessions)).await
}

fn password_end(person: &UserSummary, ended_sessions: u64) -> Change<'_> {
    Change {
        workspace: None,
        action: AuditAction::UserPasswordEnd,
        subject_id: Some(person.id.0),
        subject_name: &person.email,
        before: None,
        after: Some(serde_json::json!({"ended_sessions": ended_sessions})),
    }
}

/// Returns the error of an insertion that may have failed because the address is in use.
pub(crate) fn email_taken(error: StoreError) -> ServiceError {
    if error.violates("users_email_unique") || error.violates("users_email_key_unique") {
        ServiceError::AlreadyExists(domain::problem::FieldError::new(
            "email",
            "is in use by another user",
        ))
    } else {
        error.into()
    }
}

/// Returns a user as an audit row stores it.
fn snapshot(user: &User) -> serde_json::Value {
    serde_json::json!({
        "kind": user.kind,
        "email": user.summary.email,
        "name": user.summary.name,
        "instance_role": user.instance_role,
        "enabled": user.enabled,
    })
}
