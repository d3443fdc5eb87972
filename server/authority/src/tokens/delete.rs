//! Delete ("revoke") a token, for good.

use domain::{access::Permission, ids::TokenId, token::Token};

use super::{Tokens, create::snapshot};
use crate::{
    OpContext, ServiceError, access,
    audit::{Change, record},
    store::{audit::insert_revision, tokens as store},
};

impl Tokens<'_> {
    /// Makes a token a tombstone: it keeps its id, name and digest, is seen nowhere, and can never be
    /// used or made again. Returns it as it was.
    ///
    /// # Errors
    /// `NotFound`, also when it was deleted before.
    pub async fn delete(&self, ctx: &OpContext, id: TokenId) -> Result<Token, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let token = store::by_id(&mut transaction, access.tenant(), id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))?;
        if !store::delete(&mut transaction, access.tenant(), id, ctx.now).await? {
            return Err(ServiceError::NotFound("token"));
        }
        insert_revision(&mut transaction, "token", id.0, ctx.now).await?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: "token.delete",
            subject_id: Some(id.0),
            subject_name: &token.name,
            before: Some(snapshot(&token)),
            after: None,
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(token)
    }
}
