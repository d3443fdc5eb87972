//! What a caller may put on a new token.

use std::collections::BTreeSet;

use domain::{
    access::Permission,
    catalogue::ScopeName,
    grants::Rights,
    names::{AudienceSlug, Slug},
};

use super::{
    Tokens,
    reach::{grantable, rights},
};
use crate::{OpContext, ServiceError, access, store::catalogues};

impl Tokens<'_> {
    /// All scopes of these audiences that the caller may put on a token of the workspace, none of which
    /// is retired: for makers who want a token that may do what they may. A token hands on what it holds
    /// itself.
    ///
    /// # Errors
    /// As [`Self::create`] for callers who may make no tokens there.
    pub async fn offer(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        audiences: &[AudienceSlug],
    ) -> Result<Vec<ScopeName>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensWrite)
                .await?;
        let catalogues = catalogues::all(&mut connection).await?;
        let rights = rights(ctx, &access, &catalogues);
        let held = grantable(ctx);
        let mut offered: BTreeSet<&ScopeName> = BTreeSet::new();
        for stored in &catalogues {
            if audiences.contains(&stored.catalogue.audience) {
                offered.extend(stored.catalogue.scopes().map(|scope| &scope.name));
                // A part of a pattern that the audience declares is no scope of its catalogue.
                let parts = held.map_or(&[][..], |held| held.scopes).iter().chain(
                    match &rights {
                        Rights::All => None,
                        Rights::Of(scopes) => Some(scopes),
                    }
                    .into_iter()
                    .flatten(),
                );
                offered.extend(parts.filter(|scope| stored.declares(scope)));
            }
        }
        offered.retain(|scope| held.is_none_or(|held| held.covers(scope)) && rights.covers(scope));
        Ok(offered.into_iter().cloned().collect())
    }
}
