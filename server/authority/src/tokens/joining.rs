//! Disables exposed tokens of a user before a membership gives them more scopes.

use domain::{
    grants::GrantPattern,
    ids::{UserId, WorkspaceId},
    roles::WorkspaceRole,
};

use super::{
    By,
    exposed::effective_scopes,
    known::{Wider, disable_before_widening},
};
use crate::{OpContext, ServiceError, state::Inner};

/// A role with grants.
pub(crate) type Place<'a> = (WorkspaceRole, Option<&'a [GrantPattern]>);

/// Returns the scopes with an effect for tokens of a member only after a change.
pub(crate) fn wider(
    (user, workspace): (UserId, WorkspaceId),
    before: Option<Place<'_>>,
    (role, grants): Place<'_>,
) -> Wider {
    let mut scopes = effective_scopes(role, grants);
    if let Some((role, grants)) = before {
        let had = effective_scopes(role, grants);
        scopes.retain(|scope| !had.contains(scope));
    }
    Wider { user, workspace, scopes: scopes.into_iter().collect() }
}

/// Returns the scopes with an effect for tokens of a user only once the user is a member.
pub(crate) fn joining(user: (UserId, WorkspaceId), place: Place<'_>) -> Wider {
    wider(user, None, place)
}

/// Disables exposed tokens of a user who is about to become a member. Returns what to check again
/// once no further token can appear.
pub(crate) async fn disable_before_joining(
    inner: &Inner,
    (by, ctx): (&By, &OpContext),
    user: (UserId, WorkspaceId),
    place: Place<'_>,
) -> Result<Wider, ServiceError> {
    let wider = joining(user, place);
    disable_before_widening(inner, (by, ctx), &wider).await?;
    Ok(wider)
}
