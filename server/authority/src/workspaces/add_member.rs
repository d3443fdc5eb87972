//! Add a member.

use domain::{
    access::Permission,
    ids::UserId,
    names::{Email, Slug},
    problem::FieldError,
    roles::WorkspaceRole,
    workspace::Member,
};
use sqlx::PgConnection;

use super::{
    Workspaces,
    members::{check_said, check_within, one, parse_grants},
};
use crate::{
    OpContext, ServiceError, access,
    audit::{Change, record},
    store::{catalogues, members as store, users},
    verification::Subject,
};

/// A member to add.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// E-mail address or id of a user of the instance.
    pub user: String,
    /// The role.
    pub role: WorkspaceRole,
    /// Patterns of the scopes that the member may put on tokens; `None` is what the role gives.
    pub grants: Option<Vec<String>>,
}

impl Workspaces<'_> {
    /// Makes a user of the instance a member.
    ///
    /// # Errors
    /// `Invalid` with the fields `user`, `role`, `grants`; `AlreadyExists` for a member.
    pub async fn add_member(
        &self,
        ctx: &OpContext,
        slug: &Slug,
        new: NewMember,
    ) -> Result<Member, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let access =
            access::authorise(&mut transaction, ctx, slug, Permission::MembersWrite).await?;
        let grants = parse_grants(new.grants.as_deref())?;
        check_said(grants.as_deref(), &catalogues::all(&mut transaction).await?)?;
        check_within(ctx, &access, new.role, grants.as_deref())?;
        let user = find(&mut transaction, &new.user).await?;
        let workspace = access.workspace.id;
        store::insert(&mut transaction, workspace, user, new.role, grants.as_deref(), ctx.now)
            .await
            .map_err(|error| {
                if error.violates("memberships_pkey") {
                    ServiceError::AlreadyExists(FieldError::new("user", "is a member already"))
                } else {
                    error.into()
                }
            })?;
        transaction.widens(Subject::Membership(user));
        let member = one(&mut transaction, &access, user).await?;
        let change = Change {
            workspace: Some(workspace),
            action: "member.add",
            subject_id: Some(user.0),
            subject_name: &member.user.email,
            before: None,
            after: Some(serde_json::json!({ "role": member.role, "grants": member.grants })),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(member)
    }
}

async fn find(connection: &mut PgConnection, text: &str) -> Result<UserId, ServiceError> {
    let user = match (text.trim().parse::<UserId>(), text.parse::<Email>()) {
        (Ok(id), _) => users::by_id(connection, id).await?,
        (Err(_), Ok(email)) => users::by_email(connection, &email).await?,
        (Err(_), Err(_)) => None,
    };
    user.map(|user| user.summary.id).ok_or_else(|| {
        let message = "must be the e-mail address or id of a user of this instance";
        ServiceError::invalid("user", message)
    })
}
