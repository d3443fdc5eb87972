//! Change a user's name, role or switch.

use domain::{ids::UserId, names::DisplayName, roles::InstanceRole, user::User};

use super::{
    Users, check_kind, check_last_owner, check_owner, end_unmade, locked, manages_one, snapshot,
};
use crate::{
    OpContext, ServiceError,
    audit::{Change, record},
    store::{passwords, sessions, users as store, workspaces},
    verification::Subject,
};

/// What shall be different; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name.
    pub name: Option<String>,
    /// What it is on the whole instance.
    pub instance_role: Option<InstanceRole>,
    /// The switch.
    pub enabled: Option<bool>,
}

/// A user after a change.
#[derive(Clone, Debug)]
pub struct ChangedUser {
    /// As it is now.
    pub user: User,
    /// How many tokens the change stopped: they are refused until they are handed over to another
    /// user, or this one may act again.
    pub stopped_tokens: i64,
}

impl Users<'_> {
    /// Changes a user. A change to what is there already writes nothing. Disabling a user signs them out and stops
    /// their tokens at once. A change of the role or the switch ends links, and passwords that must be changed, whose
    /// maker may not set the person's password any more.
    ///
    /// # Errors
    /// `Invalid` with the fields `name`, `instance_role`; `Forbidden` when an owner is concerned and
    /// the caller is none; `LastOwner`; `PreconditionFailed`.
    pub async fn change(
        &self,
        ctx: &OpContext,
        id: UserId,
        wanted: UserChange,
        expected: Option<i64>,
    ) -> Result<ChangedUser, ServiceError> {
        manages_one(ctx)?;
        let name = wanted.name.as_deref().map(str::parse::<DisplayName>).transpose();
        let name = name.map_err(|error| ServiceError::invalid("name", error))?;
        let mut transaction = self.inner.begin().await?;
        workspaces::lock_instance(&mut transaction).await?;
        let user = locked(&mut transaction, id).await?;
        if expected.is_some_and(|expected| expected != user.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        let role = wanted.instance_role.unwrap_or(user.instance_role);
        let enabled = wanted.enabled.unwrap_or(user.enabled);
        check_owner(ctx, &[user.instance_role, role])?;
        let name = name.as_ref().map_or(user.summary.name.as_str(), AsRef::as_ref);
        let current = (user.summary.name.as_str(), user.instance_role, user.enabled);
        if (name, role, enabled) == current {
            transaction.already_so(Subject::User(id));
            transaction.commit().await?;
            return Ok(ChangedUser { user, stopped_tokens: 0 });
        }
        check_kind(user.kind, role)?;
        let stays_owner = role == InstanceRole::Owner && enabled;
        check_last_owner(&mut transaction, &user, stays_owner).await?;
        let acting = store::acting_tokens(&mut transaction, id).await?;
        if !store::update(&mut transaction, id, name, role, enabled, ctx.now).await? {
            return Err(ServiceError::NotFound("user"));
        }
        if !enabled {
            passwords::delete_link(&mut transaction, id).await?;
            sessions::delete_of_user(&mut transaction, id).await?;
        }
        end_unmade(&mut transaction, ctx, id).await?;
        let still_acting = store::acting_tokens(&mut transaction, id).await?;
        transaction.narrows(Subject::User(id));
        let after = locked(&mut transaction, id).await?;
        let change = Change {
            workspace: None,
            action: "user.change",
            subject_id: Some(id.0),
            subject_name: &after.summary.email,
            before: Some(snapshot(&user)),
            after: Some(snapshot(&after)),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(ChangedUser { user: after, stopped_tokens: (acting - still_acting).max(0) })
    }
}
