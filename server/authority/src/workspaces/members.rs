//! Who belongs to a workspace.

use domain::{access::Permission, names::Slug, workspace::Member};

use super::Workspaces;
use crate::{OpContext, ServiceError, access, store::workspaces as store};

impl Workspaces<'_> {
    /// The enabled members of a workspace, by name.
    pub async fn members(&self, ctx: &OpContext, slug: &Slug) -> Result<Vec<Member>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access = access::authorise(&mut connection, ctx, slug, Permission::MembersRead).await?;
        Ok(store::members(&mut connection, access.tenant()).await?)
    }
}
