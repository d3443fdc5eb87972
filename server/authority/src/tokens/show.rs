//! Show a token.

use domain::{access::Permission, ids::TokenId, names::Slug, token::Token};

use super::Tokens;
use crate::{OpContext, ServiceError, access, kernel::Tenant, store::tokens as store};

impl Tokens<'_> {
    /// Returns a token's record, which never contains its secret.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "show",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show(&self, ctx: &OpContext, id: TokenId) -> Result<Token, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_token(&mut connection, ctx, id, Permission::TokensRead).await?;
        store::by_id(&mut connection, access.tenant(), id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))
    }

    /// Returns the record of the workspace's token with this number ([`Token::num`]).
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "show_number",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show_number(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        number: i64,
    ) -> Result<Token, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensRead)
                .await?;
        let id = store::id_of_number(&mut connection, access.tenant(), access.own, number)
            .await?
            .ok_or(ServiceError::NotFound("token"))?;
        store::by_id(&mut connection, access.tenant(), id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))
    }

    /// Returns the record of the calling token. Every token may see itself.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "show_self",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show_self(&self, ctx: &OpContext) -> Result<Token, ServiceError> {
        let crate::Actor::Token(facts) = &ctx.actor else {
            return Err(ServiceError::Unauthenticated);
        };
        let mut connection = self.inner.connection().await?;
        let tenant = Tenant::of_own_token(facts);
        store::by_id(&mut connection, tenant, facts.token_id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))
    }
}
