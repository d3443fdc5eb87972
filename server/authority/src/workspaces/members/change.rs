//! Change a member's role or grants, or end the membership.

use domain::{
    access::{Permission, Permissions},
    audit_action::AuditAction,
    grants::{GrantPattern, Grants},
    ids::UserId,
    names::Slug,
    roles::{InstanceRole, WorkspaceRole},
    workspace::Member,
};

use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::{hold_end, record},
    fallen_invitations::close_fallen,
    kernel::{Change, Subject},
    store::{catalogues, members as store, users, workspaces},
    tokens::{
        By, KnownSecrets,
        joining::{Place, wider},
        known::{Of, disable_all_noted, disable_before_widening, note},
    },
    transaction::Transaction,
    workspaces::{
        Workspaces,
        members::list::{check_said, check_within, one, parse_grants},
    },
};

/// The fields of a member to change.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    /// The role; `None` leaves it as it is.
    pub role: Option<WorkspaceRole>,
    /// The grants.
    pub grants: GrantsChange,
    /// The choice about the secrets that the member may know, if they lose rights.
    pub known_secrets: KnownSecrets,
}

/// A change of a member's grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GrantsChange {
    /// Keep the grants.
    #[default]
    Keep,
    /// Use the grants that the role gives.
    ByRole,
    /// Use these patterns.
    Patterns(Vec<String>),
}

/// A member after a change.
#[derive(Clone, Debug)]
pub struct ChangedMember {
    /// The member in the new state, or a removed member as they were.
    pub member: Member,
    /// How many tokens the change stopped: they are refused until they are handed over to another
    /// user, or until this user belongs to the workspace again.
    pub stopped_tokens: i64,
    /// How many tokens the change disabled. If the member loses rights, these are tokens that act
    /// as other users, with which they could regain the rights. If the member gains rights, they
    /// are tokens that act as them and whose secrets may be known to people who could not grant
    /// as much.
    pub disabled_tokens: i64,
}

/// Returns whether a member with one role and its grants may do no more than with another one.
fn is_within(place: Place<'_>, other: Place<'_>) -> bool {
    let may = |role| Permissions::of_user(InstanceRole::Member, Some(role), true);
    let grant = |(role, grants)| Grants::of(InstanceRole::Member, Some(role), grants);
    may(place.0).is_within(may(other.0)) && grant(place).is_within(&grant(other))
}

impl Workspaces<'_> {
    /// Changes a member. If nothing changes, nothing is written. The change applies at once to
    /// tokens that act as the member. [`ChangedMember::disabled_tokens`] describes which tokens
    /// it disables.
    ///
    /// # Errors
    /// `Invalid` with the fields `role`, `grants`; `PreconditionFailed`; `Unfinished` if some
    /// tokens are not disabled yet.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "change_member",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn change_member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
        wanted: MemberChange,
        expected: Option<i64>,
    ) -> Result<ChangedMember, ServiceError> {
        let first = self.disable_before_change(ctx, slug, user, &wanted, expected).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        // Serialise changes of members, so that the checked state is the present one.
        workspaces::lock(&mut transaction, access.tenant()).await?;
        hold_end(&mut transaction, ctx, access.workspace.id).await?;
        // Check before taking locks that other tenants need, because the search may take long.
        let seen = one(&mut transaction, &access, user).await?;
        if expected.is_some_and(|expected| expected != seen.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        self.check_wider(&mut transaction, ctx, &access, (&seen, &wanted)).await?;
        // Lock the catalogues until the grants that are checked against them are written.
        store::hold_meaning(&mut transaction).await?;
        let before = one(&mut transaction, &access, user).await?;
        if expected.is_some_and(|expected| expected != before.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        if before.grants != seen.grants {
            // A catalogue was changed in between, and the member's grants with it.
            return Err(ServiceError::Busy);
        }
        let (role, grants) = wanted.place(&before)?;
        if (role, &grants) == (before.role, &before.grants) {
            transaction.already_so(Subject::Membership(user));
            transaction.commit().await?;
            return Ok(ChangedMember { member: before, stopped_tokens: 0, disabled_tokens: first });
        }
        let (was, is) = (place_of(&before), (role, grants.as_deref()));
        if grants != before.grants {
            check_said(grants.as_deref(), &catalogues::all(&mut transaction).await?)?;
        }
        if !is_within(is, was) {
            check_within(ctx, &access, role, grants.as_deref())?;
        }
        if !is_within(was, is) {
            wanted.known_secrets.check_chooser(ctx, user)?;
        }
        transaction.changes_membership_of(user, Some(access.workspace.id)).await?;
        store::update(&mut transaction, access.tenant(), user, role, grants.as_deref()).await?;
        transaction.affects(Subject::Membership(user), AuditAction::MemberChange);
        let member = one(&mut transaction, &access, user).await?;
        let closed = close_fallen(&mut transaction, ctx, user, Some(access.tenant())).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::MemberChange,
            subject_id: Some(user.0),
            subject_name: &member.user.email,
            before: Some(serde_json::json!({ "role": before.role, "grants": before.grants })),
            after: Some(serde_json::json!({
                "role": member.role, "grants": member.grants, "closed_invitations": closed,
            })),
        };
        record(&mut transaction, ctx, change).await?;
        // A member who loses nothing can still grant the same.
        let stop = if is_within(was, is) || wanted.known_secrets == KnownSecrets::Keep {
            None
        } else {
            let workspace = Some(access.workspace.id);
            Some(note(&mut transaction, ctx, Of::KnownTo(user), workspace).await?)
        };
        transaction.commit().await?;
        let after = disable_all_noted(self.inner, stop.as_slice()).await?;
        Ok(ChangedMember { member, stopped_tokens: 0, disabled_tokens: first + after })
    }

    /// Refuses a wider role if a token appeared meanwhile that would gain from it. The caller holds
    /// the locks on the workspace and the end of its chain. A role that the caller may not give
    /// passes here and is refused later.
    async fn check_wider(
        &self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        (member, wanted): (&Member, &MemberChange),
    ) -> Result<(), ServiceError> {
        let (role, grants) = wanted.place(member)?;
        let (was, is) = (place_of(member), (role, grants.as_deref()));
        if is_within(is, was) || check_within(ctx, access, role, is.1).is_err() {
            return Ok(());
        }
        let of = (member.user.id, access.workspace.id);
        wider(of, Some(was), is).check(transaction, ctx.now).await
    }

    /// Disables the tokens that would gain from a wider role, before the member gets it. Returns
    /// how many.
    async fn disable_before_change(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
        wanted: &MemberChange,
        expected: Option<i64>,
    ) -> Result<i64, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, slug, Permission::MembersWrite).await?;
        let before = one(&mut connection, &access, user).await?;
        drop(connection);
        let (role, grants) = wanted.place(&before)?;
        let (was, is) = (place_of(&before), (role, grants.as_deref()));
        if is_within(is, was)
            || expected.is_some_and(|expected| expected != before.version)
            || check_within(ctx, &access, role, grants.as_deref()).is_err()
        {
            return Ok(0);
        }
        let wider = wider((user, access.workspace.id), Some(was), is);
        disable_before_widening(self.inner, (&By::of(ctx), ctx), &wider).await
    }

    /// Ends a membership: the user's tokens of this workspace are refused at once. Tokens with
    /// which the user could return are disabled, also if the user is no longer a member, because
    /// the removal may have kept them.
    ///
    /// # Errors
    /// `NotFound` for a user who is not a member; `PreconditionFailed`; `Unfinished` if some tokens
    /// are not disabled yet.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "remove_member",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn remove_member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
        expected: Option<i64>,
    ) -> Result<ChangedMember, ServiceError> {
        self.remove_member_and(ctx, slug, user, expected, KnownSecrets::Disable).await
    }

    /// Ends a membership as [`Self::remove_member`] does, with a choice about the secrets that the
    /// user may know.
    ///
    /// # Errors
    /// As [`Self::remove_member`].
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "remove_member_and",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn remove_member_and(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
        expected: Option<i64>,
        known_secrets: KnownSecrets,
    ) -> Result<ChangedMember, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        known_secrets.check_chooser(ctx, user)?;
        workspaces::lock(&mut transaction, access.tenant()).await?;
        // Lock the chain first: a change of a catalogue waits for the membership, and other tenants
        // wait for that change.
        hold_end(&mut transaction, ctx, access.workspace.id).await?;
        let found = store::list(&mut transaction, access.tenant(), Some(user)).await?;
        let Some(member) = found.into_iter().next() else {
            // The caller who removed it may still be waiting for the replicas.
            transaction.already_so(Subject::Membership(user));
            let mut stop = None;
            if known_secrets == KnownSecrets::Disable && users::was(&mut transaction, user).await? {
                let workspace = Some(access.workspace.id);
                stop = Some(note(&mut transaction, ctx, Of::KnownTo(user), workspace).await?);
            }
            transaction.commit().await?;
            disable_all_noted(self.inner, stop.as_slice()).await?;
            return Err(ServiceError::NotFound("member"));
        };
        if expected.is_some_and(|expected| expected != member.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        transaction.changes_membership_of(user, Some(access.workspace.id)).await?;
        let acting = users::acting_tokens(&mut transaction, user).await?;
        if !store::delete(&mut transaction, access.tenant(), user).await? {
            return Err(ServiceError::NotFound("member"));
        }
        let still_acting = users::acting_tokens(&mut transaction, user).await?;
        transaction.affects(Subject::Membership(user), AuditAction::MemberRemove);
        let closed = close_fallen(&mut transaction, ctx, user, Some(access.tenant())).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::MemberRemove,
            subject_id: Some(user.0),
            subject_name: &member.user.email,
            before: Some(serde_json::json!({ "role": member.role, "grants": member.grants })),
            after: (closed > 0).then(|| serde_json::json!({ "closed_invitations": closed })),
        };
        record(&mut transaction, ctx, change).await?;
        let stop = if known_secrets == KnownSecrets::Keep {
            None
        } else {
            let workspace = Some(access.workspace.id);
            Some(note(&mut transaction, ctx, Of::KnownTo(user), workspace).await?)
        };
        transaction.commit().await?;
        let disabled_tokens = disable_all_noted(self.inner, stop.as_slice()).await?;
        let stopped_tokens = (acting - still_acting).max(0);
        Ok(ChangedMember { member, stopped_tokens, disabled_tokens })
    }
}

impl MemberChange {
    /// Returns the role and the grants of a member after the change.
    fn place(
        &self,
        before: &Member,
    ) -> Result<(WorkspaceRole, Option<Vec<GrantPattern>>), ServiceError> {
        let grants = match &self.grants {
            GrantsChange::Keep => before.grants.clone(),
            GrantsChange::ByRole => None,
            GrantsChange::Patterns(texts) => parse_grants(Some(texts))?,
        };
        Ok((self.role.unwrap_or(before.role), grants))
    }
}

/// Returns the role and the grants of a member.
fn place_of(member: &Member) -> Place<'_> {
    (member.role, member.grants.as_deref())
}
