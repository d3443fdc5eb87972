//! The scopes that a caller may put on tokens, and those that they may not.

use std::collections::BTreeSet;

use domain::{
    access::Permission,
    catalogue::ScopeName,
    grants::Rights,
    held::{HeldScope, HeldScopes},
    names::{AudienceSlug, Slug},
    scope_pattern::Steps,
};
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    access::{self, Held},
    tokens::{
        Tokens,
        compare::Reach,
        reach::{grantable, rights},
    },
};

/// The scopes that a caller can grant: a token those that it holds itself, a person those that
/// their membership grants.
struct Gifts<'a> {
    held: Option<Held<'a>>,
    rights: Rights,
}

impl Gifts<'_> {
    fn have(&self, audience: &AudienceSlug, scope: &ScopeName, steps: &mut Steps) -> bool {
        self.held.is_none_or(|held| held.covers_within(audience, scope, steps))
            && self.rights.covers_within(audience, scope, steps)
    }
}

impl Reach {
    fn gifts(&self, steps: &mut Steps) -> Gifts<'_> {
        let rights = rights(&self.ctx, &self.grants, &self.catalogues, steps);
        Gifts { held: grantable(&self.ctx), rights }
    }

    /// Returns the offered scopes. Leaves out those that the steps don't suffice to check.
    fn offer(&self, audiences: &[AudienceSlug], steps: &mut Steps) -> HeldScopes {
        let gifts = self.gifts(steps);
        let held = gifts.held.into_iter().flat_map(Held::pairs);
        let held = held.map(|(audience, scope)| (Some(audience), scope));
        let granted = match &gifts.rights {
            Rights::All => None,
            Rights::Of(scopes) => Some(scopes),
        };
        let granted = granted.into_iter().flatten();
        let parts = held.chain(granted.map(|(audience, scope)| (audience.as_ref(), scope)));
        let mut offered = HeldScopes::default();
        for stored in &*self.catalogues {
            let audience = &stored.catalogue.audience;
            if !audiences.contains(audience) {
                continue;
            }
            offered.insert_audience(audience.clone());
            for scope in stored.catalogue.scopes().map(|scope| &scope.name) {
                if gifts.have(audience, scope, steps) {
                    offered.insert(audience.clone(), scope.clone());
                }
            }
            // A part of a pattern that the audience declares is a valid scope, but not listed in
            // the catalogue.
            for (of, scope) in parts.clone() {
                if of.is_none_or(|of| of == audience)
                    && stored.declares_within(scope, steps)
                    && gifts.have(audience, scope, steps)
                {
                    offered.insert(audience.clone(), scope.clone());
                }
            }
        }
        offered
    }

    fn withheld(&self, steps: &mut Steps) -> BTreeSet<HeldScope> {
        let gifts = self.gifts(steps);
        let mut withheld = BTreeSet::new();
        for stored in &*self.catalogues {
            let audience = &stored.catalogue.audience;
            for scope in stored.catalogue.scopes().map(|scope| &scope.name) {
                if !gifts.have(audience, scope, steps) {
                    withheld.insert(HeldScope { audience: audience.clone(), scope: scope.clone() });
                }
            }
        }
        withheld
    }
}

impl Tokens<'_> {
    /// Returns all scopes of these audiences that the caller may put on a token of the workspace,
    /// without retired ones. It serves callers who want a token that may do what they may. A
    /// calling token passes on the scopes that it holds itself.
    ///
    /// # Errors
    /// As [`Self::create`] for callers who may not create tokens there.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "offer",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn offer(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        audiences: &[AudienceSlug],
    ) -> Result<HeldScopes, ServiceError> {
        let (reach, tenant) = self.reach(ctx, workspace).await?;
        let audiences = audiences.to_vec();
        self.inner.work.compare(tenant, move |steps| reach.offer(&audiences, steps)).await
    }

    /// Returns the scopes of all audiences that [`Self::create`] would refuse for this caller, so
    /// that a form can leave them out.
    ///
    /// # Errors
    /// As [`Self::offer`].
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "withheld",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn withheld(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
    ) -> Result<BTreeSet<HeldScope>, ServiceError> {
        let (reach, tenant) = self.reach(ctx, workspace).await?;
        self.inner.work.compare(tenant, move |steps| reach.withheld(steps)).await
    }

    async fn reach(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
    ) -> Result<(Reach, Uuid), ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensWrite)
                .await?;
        let reach = Reach::of(&mut connection, ctx, &access).await?;
        Ok((reach, access.workspace.id.0))
    }
}
