//! The invitations of a workspace, and those of a person.

use domain::{access::Permission, names::Slug, workspace::Invitation};

use super::Invitations;
use crate::{OpContext, ServiceError, access, store::invitations as store};

impl Invitations<'_> {
    /// Returns the unexpired invitations of a workspace, newest first. Declined ones are included,
    /// because their absence would show that a user has this address.
    #[tracing::instrument(skip_all, fields(
        noun = "invitations", verb = "of_workspace",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn of_workspace(
        &self,
        ctx: &OpContext,
        slug: &Slug,
    ) -> Result<Vec<Invitation>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, slug, Permission::MembersWrite).await?;
        Ok(store::of_workspace(&mut connection, access.tenant(), None, ctx.now).await?)
    }

    /// Returns the open invitations of the signed-in person, newest first.
    ///
    /// # Errors
    /// `Forbidden` for callers who are not a person.
    #[tracing::instrument(skip_all, fields(
        noun = "invitations", verb = "own",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn own(&self, ctx: &OpContext) -> Result<Vec<Invitation>, ServiceError> {
        let visitor = ctx.person()?;
        let mut connection = self.inner.connection().await?;
        let addressed =
            store::addressed_to(&mut connection, &visitor.user.email, None, ctx.now).await?;
        let standing = access::standing(&mut connection, ctx, addressed).await?;
        Ok(standing.into_iter().map(|addressed| addressed.invitation).collect())
    }
}
