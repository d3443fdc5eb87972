//! Change a member's role or grants, or end the membership.

use domain::{
    access::{Permission, Permissions},
    grants::{GrantPattern, Grants},
    ids::UserId,
    names::Slug,
    roles::{InstanceRole, WorkspaceRole},
    workspace::Member,
};

use super::{
    Workspaces,
    members::{check_said, check_within, one, parse_grants},
};
use crate::{
    OpContext, ServiceError, access,
    audit::{Change, hold_end, record},
    invitations::close_fallen,
    store::{catalogues, members as store, users, workspaces},
    verification::Subject,
};

/// What shall be different about a member.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    /// The role; `None` stays as it is.
    pub role: Option<WorkspaceRole>,
    /// The grants.
    pub grants: GrantsChange,
}

/// What shall become of a member's grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GrantsChange {
    /// They stay as they are.
    #[default]
    Keep,
    /// They are what the role gives.
    ByRole,
    /// They are these patterns.
    Patterns(Vec<String>),
}

/// A member after a change.
#[derive(Clone, Debug)]
pub struct ChangedMember {
    /// As it is now; as it was, when it was removed.
    pub member: Member,
    /// How many tokens the change stopped: they are refused until they are handed over to another
    /// user, or this one belongs to the workspace again.
    pub stopped_tokens: i64,
}

/// Whether a member may do nothing afterwards that they may not do before. Whoever changes members may
/// take away what they could not give.
fn narrows(before: &Member, role: WorkspaceRole, grants: Option<&[GrantPattern]>) -> bool {
    let may = |role| Permissions::of_user(InstanceRole::Member, Some(role), true);
    let grant = |role, grants| Grants::of(InstanceRole::Member, Some(role), grants);
    may(role).is_within(may(before.role))
        && grant(role, grants).is_within(&grant(before.role, before.grants.as_deref()))
}

impl Workspaces<'_> {
    /// Changes a member; a change to what is there already writes nothing. Tokens that act as the member are bound by it from then on.
    ///
    /// # Errors
    /// `Invalid` with the fields `role`, `grants`; `PreconditionFailed`.
    pub async fn change_member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
        wanted: MemberChange,
        expected: Option<i64>,
    ) -> Result<Member, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        let new_grants = match &wanted.grants {
            GrantsChange::Keep => None,
            GrantsChange::ByRole => Some(None),
            GrantsChange::Patterns(texts) => Some(parse_grants(Some(texts))?),
        };
        // One change of members at a time: what is checked is what is there.
        workspaces::lock(&mut transaction, access.tenant()).await?;
        hold_end(&mut transaction, ctx, access.workspace.id).await?;
        // Catalogues stay as they are until the grants are written that are checked against them.
        store::hold_meaning(&mut transaction).await?;
        let before = one(&mut transaction, &access, user).await?;
        if expected.is_some_and(|expected| expected != before.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        let role = wanted.role.unwrap_or(before.role);
        let grants = new_grants.unwrap_or_else(|| before.grants.clone());
        if (role, &grants) == (before.role, &before.grants) {
            transaction.already_so(Subject::Membership(user));
            transaction.commit().await?;
            return Ok(before);
        }
        if grants != before.grants {
            check_said(grants.as_deref(), &catalogues::all(&mut transaction).await?)?;
        }
        if !narrows(&before, role, grants.as_deref()) {
            check_within(ctx, &access, role, grants.as_deref())?;
        }
        transaction.changes_membership_of(user).await?;
        store::update(&mut transaction, access.tenant(), user, role, grants.as_deref()).await?;
        transaction.narrows(Subject::Membership(user));
        let member = one(&mut transaction, &access, user).await?;
        let closed = close_fallen(&mut transaction, ctx, user, Some(access.tenant())).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: "member.change",
            subject_id: Some(user.0),
            subject_name: &member.user.email,
            before: Some(serde_json::json!({ "role": before.role, "grants": before.grants })),
            after: Some(serde_json::json!({
                "role": member.role, "grants": member.grants, "closed_invitations": closed,
            })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(member)
    }

    /// Ends a membership: the user's tokens of this workspace are refused at once.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub async fn remove_member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        user: UserId,
        expected: Option<i64>,
    ) -> Result<ChangedMember, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        workspaces::lock(&mut transaction, access.tenant()).await?;
        // A change of a catalogue waits for the membership, and others for that change.
        hold_end(&mut transaction, ctx, access.workspace.id).await?;
        let found = store::list(&mut transaction, access.tenant(), Some(user)).await?;
        let Some(member) = found.into_iter().next() else {
            // Whoever removed it may still be waiting for other servers to hear of it.
            transaction.already_so(Subject::Membership(user));
            transaction.commit().await?;
            return Err(ServiceError::NotFound("member"));
        };
        if expected.is_some_and(|expected| expected != member.version) {
            return Err(ServiceError::PreconditionFailed);
        }
        transaction.changes_membership_of(user).await?;
        let acting = users::acting_tokens(&mut transaction, user).await?;
        if !store::delete(&mut transaction, access.tenant(), user).await? {
            return Err(ServiceError::NotFound("member"));
        }
        let still_acting = users::acting_tokens(&mut transaction, user).await?;
        transaction.narrows(Subject::Membership(user));
        let closed = close_fallen(&mut transaction, ctx, user, Some(access.tenant())).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: "member.remove",
            subject_id: Some(user.0),
            subject_name: &member.user.email,
            before: Some(serde_json::json!({ "role": member.role, "grants": member.grants })),
            after: (closed > 0).then(|| serde_json::json!({ "closed_invitations": closed })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(ChangedMember { member, stopped_tokens: (acting - still_acting).max(0) })
    }
}
