//! What a caller may not put on tokens.

use std::collections::BTreeSet;

use domain::{access::Permission, catalogue::ScopeName, names::Slug};

use super::{
    Tokens,
    reach::{grantable, rights},
};
use crate::{OpContext, ServiceError, access, store::catalogues};

impl Tokens<'_> {
    /// The scopes of all audiences that [`Self::create`] would refuse from this caller, for a form that
    /// does not offer them.
    pub async fn withheld(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
    ) -> Result<BTreeSet<ScopeName>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensWrite)
                .await?;
        let catalogues = catalogues::all(&mut connection).await?;
        let (held, rights) = (grantable(ctx), rights(ctx, &access, &catalogues));
        let holds =
            |scope: &ScopeName| held.is_none_or(|held| held.covers(scope)) && rights.covers(scope);
        let scopes = catalogues.iter().flat_map(|stored| stored.catalogue.scopes());
        Ok(scopes.map(|scope| &scope.name).filter(|scope| !holds(scope)).cloned().collect())
    }
}
