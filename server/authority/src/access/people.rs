//! Rights to change users.

use domain::{ids::UserId, roles::InstanceRole, user::User};
use sqlx::PgConnection;

use crate::{ServiceError, kernel::OpContext, store::users as store};

/// Checks that the caller manages users. Other callers get the response that the user
/// doesn't exist.
pub(crate) fn manages_one(ctx: &OpContext) -> Result<(), ServiceError> {
    match ctx.manages_instance() {
        Err(ServiceError::Forbidden(_)) => Err(ServiceError::NotFound("user")),
        other => other,
    }
}

/// Checks that only owners create and change owners.
pub(crate) fn check_owner(ctx: &OpContext, roles: &[InstanceRole]) -> Result<(), ServiceError> {
    if roles.contains(&InstanceRole::Owner) && !ctx.owns_instance() {
        return Err(ServiceError::Forbidden("Only instance owners can make or change owners."));
    }
    Ok(())
}

pub(crate) async fn locked(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<User, ServiceError> {
    store::lock(connection, id).await?;
    store::record(connection, id).await?.ok_or(ServiceError::NotFound("user"))
}
