//! List a workspace's tokens.

use domain::{
    access::Permission,
    ids::UserId,
    names::Slug,
    token::{Page, Token},
    token_query::TokenQuery,
};

use sqlx::PgConnection;

use super::Tokens;
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    store,
};

/// The maximum length of a search text, in characters. It is longer than any text that it is
/// compared with.
const SEARCH_MAX: usize = 256;

impl Tokens<'_> {
    /// Returns a page of a workspace's tokens without deleted ones. Members who manage their own
    /// tokens see only those.
    ///
    /// # Errors
    /// `Invalid` with the fields `q`, `owner`, `audience`, `scope`, `limit`, `cursor`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "list",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        query: &TokenQuery,
    ) -> Result<Page<Token>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensRead)
                .await?;
        page(&mut connection, ctx, &access, query).await
    }

    /// Returns how many tokens [`Self::list`] lists for this user, or for all users.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "count",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn count(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        user: Option<UserId>,
    ) -> Result<i64, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise_tokens(&mut connection, ctx, workspace, Permission::TokensRead)
                .await?;
        Ok(store::count_tokens(&mut connection, access.tenant(), [access.own, user]).await?)
    }

    /// Returns a page of all tokens of a workspace, for callers who may see all of them.
    ///
    /// # Errors
    /// As [`Self::list`]; `Forbidden` or `InsufficientScope` for callers who may see only their
    /// own tokens.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "list_of_everybody",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn list_of_everybody(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        query: &TokenQuery,
    ) -> Result<Page<Token>, ServiceError> {
        let mut connection = self.inner.connection().await?;
        let access =
            access::authorise(&mut connection, ctx, workspace, Permission::TokensRead).await?;
        page(&mut connection, ctx, &access, query).await
    }
}

async fn page(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    query: &TokenQuery,
) -> Result<Page<Token>, ServiceError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    for (field, text) in [
        ("q", query.q.clone()),
        ("owner", text(&query.owner)),
        ("audience", text(&query.audience)),
        ("scope", text(&query.scope)),
    ] {
        if text.contains('\0') || text.chars().count() > SEARCH_MAX {
            let message =
                format!("must have at most {SEARCH_MAX} characters and must not contain NUL");
            return Err(ServiceError::invalid(field, message));
        }
    }
    if query.limit == 0 || query.limit > domain::token_query::LIMIT_MAX {
        let message = format!("must be 1 to {}", domain::token_query::LIMIT_MAX);
        return Err(ServiceError::invalid("limit", message));
    }
    store::list_tokens(connection, access.tenant(), access.own, query, ctx.now).await?.map_err(
        |_| {
            ServiceError::invalid(
                "cursor",
                "must be the `next` value of a page of this list in the same order",
            )
        },
    )
}
