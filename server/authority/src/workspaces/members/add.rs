//! Add a member, or invite a person to become one.

use domain::{
    access::Permission,
    audit_action::AuditAction,
    grants::GrantPattern,
    ids::{InvitationId, UserId},
    names::{Slug, WrittenEmail},
    problem::FieldError,
    roles::WorkspaceRole,
    workspace::{Invitation, Member},
};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::{hold_end, record},
    invitations::invite,
    kernel::{Change, Subject},
    store::{catalogues, invitations, members as store, users, workspaces},
    tokens::{
        By,
        joining::{disable_before_joining, joining},
    },
    workspaces::{
        Workspaces,
        members::list::{check_said, check_within, one, parse_grants},
    },
};

/// A member to add.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// E-mail address or id of a user of the instance, or the address to invite.
    pub user: String,
    /// The role.
    pub role: WorkspaceRole,
    /// Patterns of the scopes that the member may put on tokens; `None` stands for what the
    /// role gives.
    pub grants: Option<Vec<String>>,
}

/// The result of adding a member.
#[derive(Clone, Debug)]
pub enum Added {
    /// The user is now a member.
    Member(Member),
    /// The person can accept an invitation.
    Invited(Invitation),
}

impl Workspaces<'_> {
    /// Makes a user of the instance a member if the caller is an administrator of the instance.
    /// Other callers who manage members invite the person by e-mail. A token always invites,
    /// whichever user it acts as: otherwise a workspace's token that acts as an administrator of
    /// the instance could add any user.
    ///
    /// # Errors
    /// `Invalid` with the fields `user`, `role`, `grants`; `AlreadyExists` for a member;
    /// `InvitationLimitReached`; `TooManyInvitations`.
    #[tracing::instrument(skip_all, fields(
        noun = "workspaces", verb = "add_member",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn add_member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        new: NewMember,
    ) -> Result<Added, ServiceError> {
        self.disable_before_adding(ctx, slug, &new).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        let grants = parse_grants(new.grants.as_deref())?;
        workspaces::lock(&mut transaction, access.tenant()).await?;
        hold_end(&mut transaction, ctx, access.workspace.id).await?;
        let adds = ctx.manages_instance().is_ok();
        if adds
            && let Ok(user) = find(&mut transaction, &new.user).await
            && workspaces::role(&mut transaction, access.tenant(), user).await?.is_none()
        {
            // Check before taking locks that other tenants need.
            let place = (new.role, grants.as_deref());
            joining((user, access.workspace.id), place).check(&mut transaction, ctx.now).await?;
        }
        store::hold_meaning(&mut transaction).await?;
        check_said(grants.as_deref(), &catalogues::all(&mut transaction).await?)?;
        check_within(ctx, &access, new.role, grants.as_deref())?;
        let wanted = (&*new.user, new.role, grants.as_deref());
        let added = if adds {
            let member = add(&mut transaction, ctx, &access, wanted).await?;
            transaction.affects(Subject::Membership(member.user.id), AuditAction::MemberAdd);
            Added::Member(member)
        } else {
            let id = InvitationId(self.inner.uuid(ctx.now));
            Added::Invited(invite(&mut transaction, ctx, &access, id, wanted).await?)
        };
        transaction.commit().await?;
        Ok(added)
    }

    /// Disables tokens from an earlier membership if their secrets may be known to people who could
    /// not grant as much. Only applies to a member who is added at once.
    async fn disable_before_adding(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        new: &NewMember,
    ) -> Result<(), ServiceError> {
        if ctx.manages_instance().is_err() {
            return Ok(());
        }
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, slug, Permission::MembersWrite).await?;
        let grants = parse_grants(new.grants.as_deref())?;
        let grants = grants.as_deref();
        if check_within(ctx, &access, new.role, grants).is_err() {
            return Ok(());
        }
        let user = find(&mut connection, &new.user).await?;
        if workspaces::role(&mut connection, access.tenant(), user).await?.is_some() {
            return Ok(());
        }
        drop(connection);
        let (by, of) = (By::of(ctx), (user, access.workspace.id));
        disable_before_joining(self.inner, (&by, ctx), of, (new.role, grants)).await?;
        Ok(())
    }
}

async fn add(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (user, role, grants): (&str, WorkspaceRole, Option<&[GrantPattern]>),
) -> Result<Member, ServiceError> {
    let tenant = access.tenant();
    let user = find(connection, user).await?;
    users::lock(connection, user).await?;
    store::insert(connection, tenant.id(), user, role, grants, ctx.now).await.map_err(|error| {
        if error.violates("memberships_pkey") {
            ServiceError::AlreadyExists(FieldError::new("user", "is already a member"))
        } else {
            error.into()
        }
    })?;
    let member = one(connection, access, user).await?;
    // A member has nothing left to accept.
    invitations::close(connection, tenant, &member.user.email, ctx.now).await?;
    let change = Change {
        workspace: Some(tenant.id()),
        action: AuditAction::MemberAdd,
        subject_id: Some(user.0),
        subject_name: &member.user.email,
        before: None,
        after: Some(serde_json::json!({ "role": member.role, "grants": member.grants })),
    };
    record(connection, ctx, change).await?;
    Ok(member)
}

async fn find(connection: &mut PgConnection, text: &str) -> Result<UserId, ServiceError> {
    let user = match (text.trim().parse::<UserId>(), WrittenEmail::read(text)) {
        (Ok(id), _) => users::by_id(connection, id).await?,
        (Err(_), Some(email)) => users::by_email(connection, &email).await?,
        (Err(_), None) => None,
    };
    user.map(|user| user.summary.id).ok_or_else(|| {
        let message = "must be the e-mail address or id of a user of this instance";
        ServiceError::invalid("user", message)
    })
}
