//! What a caller may put on tokens, and what not.

use std::collections::BTreeSet;

use domain::{
    access::Permission,
    catalogue::ScopeName,
    grants::Rights,
    names::{AudienceSlug, Slug},
};
use sqlx::PgConnection;

use super::{
    Tokens,
    draft::Held,
    reach::{grantable, rights},
};
use crate::{
    OpContext, ServiceError, access,
    store::catalogues::{self, StoredCatalogue},
};

/// What a caller has to give: a token what it holds itself, a person what their membership grants.
struct Gifts<'a> {
    held: Option<Held<'a>>,
    rights: Rights,
    catalogues: Vec<StoredCatalogue>,
}

impl<'a> Gifts<'a> {
    /// Errors: as [`Tokens::create`] for callers who may make no tokens there.
    async fn of(
        connection: &mut PgConnection,
        ctx: &'a OpContext,
        workspace: &Slug,
    ) -> Result<Self, ServiceError> {
        let access =
            access::authorise_tokens(connection, ctx, workspace, Permission::TokensWrite).await?;
        let catalogues = catalogues::all(connection).await?;
        Ok(Self { held: grantable(ctx), rights: rights(ctx, &access, &catalogues), catalogues })
    }

    fn have(&self, scope: &ScopeName) -> bool {
        self.held.is_none_or(|held| held.covers(scope)) && self.rights.covers(scope)
    }
}

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
        let gifts = Gifts::of(&mut connection, ctx, workspace).await?;
        let held = gifts.held.map(|held| held.scopes).into_iter().flatten();
        let granted = match &gifts.rights {
            Rights::All => None,
            Rights::Of(scopes) => Some(scopes),
        };
        let parts = held.chain(granted.into_iter().flatten());
        let mut offered: BTreeSet<&ScopeName> = BTreeSet::new();
        for stored in &gifts.catalogues {
            if audiences.contains(&stored.catalogue.audience) {
                offered.extend(stored.catalogue.scopes().map(|scope| &scope.name));
                // A part of a pattern that the audience declares is no scope of its catalogue.
                offered.extend(parts.clone().filter(|scope| stored.declares(scope)));
            }
        }
        Ok(offered.into_iter().filter(|scope| gifts.have(scope)).cloned().collect())
    }

    /// The scopes of all audiences that [`Self::create`] would refuse from this caller, for a form that
    /// does not offer them.
    ///
    /// # Errors
    /// As [`Self::offer`].
    pub async fn withheld(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
    ) -> Result<BTreeSet<ScopeName>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let gifts = Gifts::of(&mut connection, ctx, workspace).await?;
        let scopes = gifts.catalogues.iter().flat_map(|stored| stored.catalogue.scopes());
        Ok(scopes.map(|scope| &scope.name).filter(|scope| !gifts.have(scope)).cloned().collect())
    }
}
