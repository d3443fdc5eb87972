//! What a caller may put on tokens, and what not.

use std::collections::BTreeSet;

use domain::{
    access::Permission,
    catalogue::ScopeName,
    grants::Rights,
    held::{HeldScope, HeldScopes},
    names::{AudienceSlug, Slug},
};
use sqlx::PgConnection;

use super::{
    Tokens,
    draft_grants::Held,
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

    fn have(&self, audience: &AudienceSlug, scope: &ScopeName) -> bool {
        self.held.is_none_or(|held| held.covers(audience, scope))
            && self.rights.covers(audience, scope)
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
    ) -> Result<HeldScopes, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let gifts = Gifts::of(&mut connection, ctx, workspace).await?;
        let held = gifts.held.into_iter().flat_map(Held::pairs);
        let held = held.map(|(audience, scope)| (Some(audience), scope));
        let granted = match &gifts.rights {
            Rights::All => None,
            Rights::Of(scopes) => Some(scopes),
        };
        let granted = granted.into_iter().flatten();
        let parts = held.chain(granted.map(|(audience, scope)| (audience.as_ref(), scope)));
        let mut offered = HeldScopes::default();
        for stored in &gifts.catalogues {
            let audience = &stored.catalogue.audience;
            if !audiences.contains(audience) {
                continue;
            }
            offered.insert_audience(audience.clone());
            let declared = stored.catalogue.scopes().map(|scope| &scope.name);
            // A part of a pattern that the audience declares is no scope of its catalogue.
            let parts = parts
                .clone()
                .filter(|(of, scope)| of.is_none_or(|of| of == audience) && stored.declares(scope))
                .map(|(_, scope)| scope);
            for scope in declared.chain(parts).filter(|scope| gifts.have(audience, scope)) {
                offered.insert(audience.clone(), scope.clone());
            }
        }
        Ok(offered)
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
    ) -> Result<BTreeSet<HeldScope>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let gifts = Gifts::of(&mut connection, ctx, workspace).await?;
        let pairs = gifts.catalogues.iter().flat_map(|stored| {
            let audience = &stored.catalogue.audience;
            stored.catalogue.scopes().map(move |scope| (audience, &scope.name))
        });
        Ok(pairs
            .filter(|(audience, scope)| !gifts.have(audience, scope))
            .map(|(audience, scope)| HeldScope { audience: audience.clone(), scope: scope.clone() })
            .collect())
    }
}
