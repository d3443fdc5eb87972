//! Keeps a user who loses rights on the instance from regaining them with secrets that they
//! may know.
//!
//! - Tokens that act as other users and with which the user could regain the rights are
//!   disabled (`tokens/known.rs`).
//! - Passwords of other owners and administrators that descend from the user are expired, because
//!   the user may no longer set them. Those people's sessions end, and tokens that their accounts
//!   created and with which the user could regain the rights are disabled.

use domain::{token::UserSummary, user::User};

use crate::{
    OpContext, ServiceError,
    store::{passwords, secret_stops::SecretStop, sessions},
    tokens::known::{Of, note},
    transaction::Transaction,
};

/// The secrets that are withdrawn together with the rights.
pub(super) struct Lost {
    /// The people whose passwords were expired, with the number of their ended sessions.
    pub(super) ended: Vec<(UserSummary, u64)>,
    /// The tokens to disable after the commit.
    pub(super) stops: Vec<SecretStop>,
}

/// Expires passwords and notes the tokens to disable, in the transaction that takes the rights
/// away. The caller holds [`crate::store::locks::people`].
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
