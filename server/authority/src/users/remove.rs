//! Remove a user permanently.

use domain::{audit_action::AuditAction, ids::UserId};
use serde_json::json;

use crate::{
    OpContext, ServiceError,
    access::{check_owner, locked, manages_one},
    audit::record,
    fallen_invitations::close_fallen,
    kernel::{Change, Subject},
    store::{locks, passwords, sessions, users as store},
    tokens::{
        KnownSecrets,
        known::{Of, disable_all_noted, note},
    },
    users::{
        ChangedUser, Users, addresses, check_last_owner, end_unmade, lose, note_password_end,
        second_look, snapshot,
    },
};

impl Users<'_> {
    /// Turns a user into a tombstone: they are signed out and lose all memberships, and their
    /// tokens are refused at once. What they created keeps their name, and their address cannot be
    /// used again. Tokens with which the user could return are disabled, and passwords of
    /// administrators that descend from the user are expired. The tokens are also disabled if the
    /// user was removed before, because that removal may have kept them. Returns the user as it
    /// was.
    ///
    /// # Errors
    /// `NotFound` for a removed user; `Forbidden` for an owner if the caller is not an owner;
    /// `LastOwner`; `PreconditionFailed`; `Unfinished` if some tokens are not disabled yet.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "remove",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn remove(
        &self,
        ctx: &OpContext,
        id: UserId,
        expected: Option<i64>,
    ) -> Result<ChangedUser, ServiceError> {
        self.remove_and(ctx, id, expected, KnownSecrets::Disable).await
    }

    /// Removes a user as [`Self::remove`] does, with a choice about the secrets that they may know.
    ///
    /// # Errors
    /// As [`Self::remove`].
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "remove_and",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn remove_and(
        &self,
        ctx: &OpContext,
        id: UserId,
        expected: Option<i64>,
        known_secrets: KnownSecrets,
    ) -> Result<ChangedUser, ServiceError> {
        manages_one(ctx)?;
        known_secrets.check_chooser(ctx, id)?;
        // Keep the share until the end, so that other requests cannot delay the steps after
        // the commit.
        let _place = self.inner.share().await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[id.0]).await?;
        let ctx = &ctx;
        locks::people(&mut transaction).await?;
        if known_secrets == KnownSecrets::Disable {
            passwords::lock_descended(&mut transaction, id, &[], ctx.user_id()).await?;
        }
        let user = match locked(&mut transaction, id).await {
            // Another caller removed it and may still be waiting for the replicas.
            Err(ServiceError::NotFound(what)) => {
                transaction.already_so(Subject::User(id));
                let mut stop = None;
                if known_secrets == KnownSecrets::Disable
                    && store::was(&mut transaction, id).await?
                {
                    stop = Some(note(&mut transaction, ctx, Of::KnownTo(id), None).await?);
                }
                transaction.commit().await?;
                disable_all_noted(self.inner, stop.as_slice()).await?;
                return Err(ServiceError::NotFound(what));
            }
            user => user?,
        };
        if expected.is_some_and(|expected| expected != user.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        check_owner(ctx, &[user.instance_role])?;
        transaction.changes_membership_of(id, None).await?;
        transaction.changes_person(id).await?;
        let stopped_tokens = store::acting_tokens(&mut transaction, id).await?;
        if !store::remove(&mut transaction, id, ctx.now).await? {
            return Err(ServiceError::NotFound("user"));
        }
        passwords::delete_link(&mut transaction, id).await?;
        sessions::delete_of_user(&mut transaction, id).await?;
        let mut unmade = end_unmade(&mut transaction, id).await?;
        let mut stops = Vec::new();
        if known_secrets == KnownSecrets::Disable {
            let lost = lose(&mut transaction, ctx, &user).await?;
            unmade.extend(lost.ended);
            stops = lost.stops;
        }
        transaction.affects(Subject::User(id), AuditAction::UserRemove);
        check_last_owner(&mut transaction, &user, false).await?;
        let acted: Vec<_> = unmade.iter().map(|(person, _)| person.id).collect();
        let mut looks = Vec::new();
        if user.instance_role.manages() || !acted.is_empty() {
            let ends_more = known_secrets == KnownSecrets::Disable;
            let note = second_look::note(&mut transaction, ctx, id, &acted, ends_more);
            looks.push(note.await?);
        }
        for (person, ended) in &unmade {
            note_password_end(&mut transaction, ctx, person, *ended).await?;
        }
        let closed = close_fallen(&mut transaction, ctx, id, None).await?;
        let mut ended_passwords = addresses(&unmade);
        let change = Change {
            workspace: None,
            action: AuditAction::UserRemove,
            subject_id: Some(id.0),
            subject_name: &user.summary.email,
            before: Some(snapshot(&user)),
            after: (closed > 0 || !ended_passwords.is_empty())
                .then(|| json!({"closed_invitations": closed, "ended_passwords": ended_passwords})),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        let found = second_look::look(self.inner, looks).await?;
        ended_passwords.extend(found.ended.into_iter().map(|person| person.email));
        stops.extend(found.stops);
        let disabled_tokens = disable_all_noted(self.inner, &stops).await?;
        Ok(ChangedUser {
            user,
            stopped_tokens,
            disabled_tokens,
            password_ended: false,
            ended_passwords,
        })
    }
}
