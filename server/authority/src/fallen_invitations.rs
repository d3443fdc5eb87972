//! Closes invitations that are no longer valid, permanently. Otherwise they would become
//! valid again if their sender regained the lost rights, unnoticed by the people who took the
//! rights away.

use domain::{ids::UserId, token::Token};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    access::{Terms, still_stands},
    kernel::Tenant,
    store::{
        invitations::Inviter,
        invitations_open::{self as store, OpenInvitation, Sender},
    },
};

/// Closes the invitations of a person that they could not send now, in one workspace or in all.
/// These include the ones sent by tokens that act as the person, and by tokens that the person
/// created. Returns how many it closed.
///
/// It must run after the change of the person, in the same transaction.
pub(crate) async fn close_fallen(
    connection: &mut PgConnection,
    ctx: &OpContext,
    user: UserId,
    tenant: Option<Tenant>,
) -> Result<usize, ServiceError> {
    close(connection, ctx, Sender::Person(user), tenant).await
}

/// Closes the invitations that a token could not send now. Those that it could still send expire
/// with it, at the latest.
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
