//! Show a user.

use domain::{ids::UserId, names::WrittenEmail, user::User};

use crate::{OpContext, ServiceError, access::manages_one, store::users as store, users::Users};

impl Users<'_> {
    /// Returns a user's record.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "show",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show(&self, ctx: &OpContext, id: UserId) -> Result<User, ServiceError> {
        manages_one(ctx)?;
        let mut connection = self.inner.connection().await?;
        store::record(&mut connection, id).await?.ok_or(ServiceError::NotFound("user"))
    }

    /// Returns the user with this id or address.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "find",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn find(&self, ctx: &OpContext, text: &str) -> Result<User, ServiceError> {
        manages_one(ctx)?;
        let id = match (text.trim().parse::<UserId>(), WrittenEmail::read(text)) {
            (Ok(id), _) => id,
            (Err(_), Some(email)) => {
                let mut connection = self.inner.connection().await?;
                let user = store::by_email(&mut connection, &email).await?;
                user.ok_or(ServiceError::NotFound("user"))?.summary.id
            }
            (Err(_), None) => return Err(ServiceError::NotFound("user")),
        };
        self.show(ctx, id).await
    }
}
