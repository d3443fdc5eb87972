//! Show a user.

use domain::{ids::UserId, names::Email, user::User};

use super::{Users, manages_one};
use crate::{OpContext, ServiceError, store::users as store};

impl Users<'_> {
    /// A user's record.
    pub async fn show(&self, ctx: &OpContext, id: UserId) -> Result<User, ServiceError> {
        manages_one(ctx)?;
        let mut connection = self.inner.connection().await?;
        store::record(&mut connection, id).await?.ok_or(ServiceError::NotFound("user"))
    }

    /// The user with this id or address.
    pub async fn find(&self, ctx: &OpContext, text: &str) -> Result<User, ServiceError> {
        manages_one(ctx)?;
        let id = match (text.trim().parse::<UserId>(), text.parse::<Email>()) {
            (Ok(id), _) => id,
            (Err(_), Ok(email)) => {
                let mut connection = self.inner.connection().await?;
                let user = store::by_email(&mut connection, &email).await?;
                user.ok_or(ServiceError::NotFound("user"))?.summary.id
            }
            (Err(_), Err(_)) => return Err(ServiceError::NotFound("user")),
        };
        self.show(ctx, id).await
    }
}
