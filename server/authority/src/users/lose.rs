//! A user loses rights on the instance: secrets that they may know do not give those back.
//!
//! - Tokens that act as others and by which the user could come back are disabled (`tokens/known.rs`).
//! - Passwords of other owners and administrators end that descend from the user, who may not set them any more. So do the
//!   sessions, and tokens that the accounts of those people made and by which the user could come back.

use domain::{token::UserSummary, user::User};

use crate::{
    OpContext, ServiceError,
    replicas::Transaction,
    store::{passwords, secret_stops::SecretStop, sessions},
    tokens::known::{Of, note},
};

/// The secrets that end with the rights.
pub(super) struct Lost {
    /// The people whose passwords ended, with the number of their sessions.
    pub(super) ended: Vec<(UserSummary, u64)>,
    /// The tokens that are to be disabled after the commit.
    pub(super) stops: Vec<SecretStop>,
}

/// Ends passwords, and notes which tokens are to be disabled, in the transaction that has taken the rights. The caller
/// holds [`crate::locks::people`].
pub(super) async fn lose(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: &User,
) -> Result<Lost, ServiceError> {
    let id = user.summary.id;
    let mut lost = Lost { ended: Vec::new(), stops: Vec::new() };
    if user.instance_role.manages() {
        for person in passwords::end_descended(transaction, id, ctx.user_id()).await? {
            let sessions = sessions::end_others(transaction, person.id, None).await?;
            for of in [Of::ActingAs(person.id), Of::KnownTo(person.id)] {
                lost.stops.push(note(transaction, ctx, of, None).await?);
            }
            lost.ended.push((person, sessions));
        }
    }
    lost.stops.push(note(transaction, ctx, Of::KnownTo(id), None).await?);
    Ok(lost)
}
