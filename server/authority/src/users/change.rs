//! Change a user's name or role, or enable or disable the user.

use domain::{
    audit_action::AuditAction, ids::UserId, names::DisplayName, roles::InstanceRole, user::User,
};
use serde_json::json;

use crate::{
    OpContext, ServiceError,
    access::{check_owner, locked, manages_one},
    audit::record,
    fallen_invitations::close_fallen,
    kernel::{Change, Subject},
    store::{locks, passwords, sessions, users as store},
    tokens::{
        self, KnownSecrets,
        known::{Of, disable_all_noted, note},
    },
    transaction::Transaction,
    users::{
        Users, addresses, check_kind, check_last_owner, end_unmade, lose, note_password_end,
        raise::{self, Raise},
        second_look, snapshot,
    },
};

/// The fields to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name.
    pub name: Option<String>,
    /// The role on the instance.
    pub instance_role: Option<InstanceRole>,
    /// Whether the user is enabled.
    pub enabled: Option<bool>,
    /// The choice about the secrets that the user may know, if they lose rights.
    pub known_secrets: KnownSecrets,
}

/// A user after a change.
#[derive(Clone, Debug)]
pub struct ChangedUser {
    /// The user in the new state.
    pub user: User,
    /// How many tokens the change stopped: they are refused until they are handed over to another
    /// user, or until this user may act again.
    pub stopped_tokens: i64,
    /// How many tokens the change disabled. After a change to a higher role, these are tokens that
    /// act as the user and whose secrets may be known to people who could not get them now. If the
    /// user loses rights, they are tokens whose secrets the user may know, and with which they
    /// could regain the rights.
    pub disabled_tokens: i64,
    /// Whether the user's password was expired because of the person who gave it. The user needs
    /// a link.
    pub password_ended: bool,
    /// The addresses of people whose passwords were expired, because the user gave them and may no
    /// longer set them. They need links.
    pub ended_passwords: Vec<String>,
}

impl Users<'_> {
    /// Changes a user. If nothing changes, nothing is written. Disabling a user signs them out and
    /// stops their tokens at once. A change of the role, or of whether the user is enabled, expires
    /// links, and passwords that must be changed, if the user who gave them may no longer set the
    /// person's password.
    ///
    /// A higher role ends the person's sessions and forgets their browsers. It also expires the
    /// password, if the administrator from whom it descends may not set the password of a person
    /// with that role. If the person becomes an administrator or an owner, it disables the tokens
    /// that act as them and whose secret other people may know.
    ///
    /// A lower role, and disabling the user, disables tokens with which the user could regain the
    /// rights, and expires passwords of other administrators that descend from the user, unless
    /// [`UserChange::known_secrets`] keeps them.
    ///
    /// # Errors
    /// `Invalid` with the fields `name`, `instance_role`; `Forbidden` if the change concerns an
    /// owner and the caller is not an owner; `LastOwner`; `PreconditionFailed`; `Unfinished` if
    /// some tokens are not disabled yet.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "change",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
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
        // Keep the share until the end, so that other requests cannot delay the steps after
        // the commit.
        let _place = self.inner.share().await?;
        let stopped_first = self.stop_exposed_first(ctx, id, &wanted, expected).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[id.0]).await?;
        let ctx = &ctx;
        locks::people(&mut transaction).await?;
        let acting = lock_others(&mut transaction, ctx, id, &wanted).await?;
        let user = locked(&mut transaction, id).await?;
        transaction.changes_person(id).await?;
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
            return Ok(ChangedUser {
                user,
                stopped_tokens: 0,
                disabled_tokens: stopped_first,
                password_ended: false,
                ended_passwords: Vec::new(),
            });
        }
        check_kind(user.kind, role)?;
        let before = store::acting_tokens(&mut transaction, id).await?;
        if !store::update(&mut transaction, id, name, role, enabled, ctx.now).await? {
            return Err(ServiceError::NotFound("user"));
        }
        let raised = role.exceeds(user.instance_role);
        let mut raise = if raised {
            raise::apply(&mut transaction, ctx, id, acting.as_ref()).await?
        } else {
            Raise::default()
        };
        raise.disabled_tokens += stopped_first;
        if !enabled {
            passwords::delete_link(&mut transaction, id).await?;
            sessions::delete_of_user(&mut transaction, id).await?;
        }
        let mut unmade = end_unmade(&mut transaction, id).await?;
        let mut stops = Vec::new();
        let loses = user.instance_role.exceeds(role) || user.enabled && !enabled;
        if loses {
            wanted.known_secrets.check_chooser(ctx, id)?;
        }
        if loses && wanted.known_secrets == KnownSecrets::Disable {
            let lost = lose(&mut transaction, ctx, &user).await?;
            unmade.extend(lost.ended);
            stops = lost.stops;
        }
        let still_acting = store::acting_tokens(&mut transaction, id).await?;
        transaction.affects(Subject::User(id), AuditAction::UserChange);
        let after = locked(&mut transaction, id).await?;
        let stays_owner = role == InstanceRole::Owner && enabled;
        check_last_owner(&mut transaction, &user, stays_owner).await?;
        let acted: Vec<_> = unmade.iter().map(|(person, _)| person.id).collect();
        let mut looks = Vec::new();
        if loses && user.instance_role.manages() || !acted.is_empty() {
            let ends_more = loses && wanted.known_secrets == KnownSecrets::Disable;
            let note = second_look::note(&mut transaction, ctx, id, &acted, ends_more);
            looks.push(note.await?);
        }
        if raised && role.manages() {
            // Tokens that were created or handed over since the search.
            let of = Of::ActingAs(id);
            stops.push(note(&mut transaction, ctx, of, None).await?);
        }
        if let Some(giver) = raise.giver {
            looks.push(second_look::note(&mut transaction, ctx, giver, &[id], false).await?);
        }
        for (person, ended) in &unmade {
            note_password_end(&mut transaction, ctx, person, *ended).await?;
        }
        if raise.giver.is_some() {
            note_password_end(&mut transaction, ctx, &after.summary, raise.ended_sessions).await?;
        }
        let mut ended_passwords = addresses(&unmade);
        let what = (&ended_passwords[..], raised.then_some(&raise));
        note_change(&mut transaction, ctx, (&user, &after), what).await?;
        transaction.commit().await?;
        let found = second_look::look(self.inner, looks).await?;
        ended_passwords.extend(found.ended.into_iter().map(|person| person.email));
        stops.extend(found.stops);
        let disabled = disable_all_noted(self.inner, &stops).await?;
        Ok(ChangedUser {
            user: after,
            stopped_tokens: (before - still_acting).max(0),
            disabled_tokens: raise.disabled_tokens + disabled,
            password_ended: raise.giver.is_some(),
            ended_passwords,
        })
    }

    /// Disables the tokens that must not gain from a higher role, if this change would give one.
    /// Returns how many.
    async fn stop_exposed_first(
        &self,
        ctx: &OpContext,
        id: UserId,
        wanted: &UserChange,
        expected: Option<i64>,
    ) -> Result<i64, ServiceError> {
        let Some(role) = wanted.instance_role.filter(|role| role.manages()) else { return Ok(0) };
        let mut connection = self.inner.connection().await?;
        let user = store::record(&mut connection, id).await?;
        drop(connection);
        let user = user.ok_or(ServiceError::NotFound("user"))?;
        if expected.is_some_and(|expected| expected != user.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        check_owner(ctx, &[user.instance_role, role])?;
        check_kind(user.kind, role)?;
        if !role.exceeds(user.instance_role) {
            return Ok(0);
        }
        raise::prepare(self.inner, ctx, (id, role)).await
    }
}

/// Locks what the change may affect besides the user: tokens that act as them, and people whose
/// passwords descend from them. Tokens are locked before their user, as everywhere.
async fn lock_others(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    id: UserId,
    wanted: &UserChange,
) -> Result<Option<tokens::Acting>, ServiceError> {
    let manages = wanted.instance_role.is_some_and(InstanceRole::manages);
    let acting =
        if manages { Some(tokens::lock_acting(transaction, ctx, id).await?) } else { None };
    // Becoming an owner takes no rights away.
    let may_lose = wanted.enabled == Some(false)
        || wanted.instance_role.is_some_and(|role| role != InstanceRole::Owner);
    if may_lose && wanted.known_secrets == KnownSecrets::Disable {
        passwords::lock_descended(transaction, id, &[], ctx.user_id()).await?;
    }
    Ok(acting)
}

/// Writes the audit row, with the passwords that were expired and what a higher role ended.
async fn note_change(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    (before, after): (&User, &User),
    (ended_passwords, raise): (&[String], Option<&Raise>),
) -> Result<(), ServiceError> {
    let id = after.summary.id;
    let mut noted = snapshot(after);
    noted["closed_invitations"] = json!(close_fallen(transaction, ctx, id, None).await?);
    if !ended_passwords.is_empty() {
        noted["ended_passwords"] = json!(ended_passwords);
    }
    if let Some(raise) = raise {
        noted["ended_sessions"] = json!(raise.ended_sessions);
        noted["disabled_tokens"] = json!(raise.disabled_tokens);
    }
    let change = Change {
        workspace: None,
        action: AuditAction::UserChange,
        subject_id: Some(id.0),
        subject_name: &after.summary.email,
        before: Some(snapshot(before)),
        after: Some(noted),
    };
    record(transaction, ctx, change).await
}
