//! Close invitations that do not stand any more, for good: they would come back when their sender gets back what was
//! taken away, although the people who took it away see nothing of them.

use domain::{ids::UserId, token::Token};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    access::{Tenant, Terms, still_stands},
    store::{
        invitations::Inviter,
        invitations_open::{self as store, OpenInvitation, Sender},
    },
};

/// Closes the invitations of a person that they could not send now, in a workspace or in all of them. Those that tokens
/// sent for them, or that tokens sent which they made, are among them. Returns how many they were.
///
/// It comes after the change of the person, in the same transaction.
pub(crate) async fn close_fallen(
    connection: &mut PgConnection,
    ctx: &OpContext,
    user: UserId,
    tenant: Option<Tenant>,
) -> Result<usize, ServiceError> {
    close(connection, ctx, Sender::Person(user), tenant).await
}

/// The same for a token. Those that it could still send end with it, at the latest.
pub(crate) async fn close_fallen_of_token(
    connection: &mut PgConnection,
    ctx: &OpContext,
    tenant: Tenant,
    token: &Token,
) -> Result<(), ServiceError> {
    close(connection, ctx, Sender::Token(token.id), Some(tenant)).await?;
    if let Some(end) = token.expires_at {
        store::end_of_tokens(connection, tenant, &[token.id.0], end).await?;
    }
    Ok(())
}

async fn close(
    connection: &mut PgConnection,
    ctx: &OpContext,
    sender: Sender,
    tenant: Option<Tenant>,
) -> Result<usize, ServiceError> {
    let mut fallen = Vec::new();
    for open in store::lock(connection, sender, tenant, ctx.now).await? {
        if has_fallen(connection, ctx, sender, &open).await? {
            fallen.push(open.id);
        }
    }
    if !fallen.is_empty() {
        store::close(connection, &fallen, ctx.now).await?;
    }
    Ok(fallen.len())
}

async fn has_fallen(
    connection: &mut PgConnection,
    ctx: &OpContext,
    sender: Sender,
    open: &OpenInvitation,
) -> Result<bool, ServiceError> {
    let terms = Terms {
        role: open.role,
        grants: open.grants.as_deref(),
        invited_by: open.invited_by,
        created_at: open.created_at,
    };
    let is_sender = match sender {
        Sender::Person(user) => open.invited_by == user,
        Sender::Token(_) => true,
    };
    if is_sender && !still_stands(connection, ctx, &open.inviter, terms).await? {
        return Ok(true);
    }
    let as_person = Inviter { token: None, ..open.inviter.clone() };
    Ok(open.is_maker && !still_stands(connection, ctx, &as_person, terms).await?)
}
