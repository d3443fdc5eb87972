//! Limits what a caller may put on tokens: callers cannot grant more than they hold.

use std::collections::BTreeSet;

use domain::{
    bounds::ends_later,
    grants::{Grants, KnownScope, Rights, known_scopes},
    ids::UserId,
    names::WrittenEmail,
    policy::{Policy, Reveal},
    problem::FieldError,
    roles::InstanceRole,
    scope_pattern::Steps,
    token::{Token, UserSummary},
};
use sqlx::PgConnection;

use crate::{
    OpContext, ServiceError,
    access::{Access, Held},
    kernel::Actor,
    store::{
        catalogues::StoredCatalogue,
        users::{self, User},
        workspaces,
    },
    tokens::{
        lifting::Lifting,
        widening::{Grantor, Shortfall, bounds},
    },
    transaction::Transaction,
};

/// Returns the scopes that the calling token may pass on; `None` for callers that are not tokens.
pub(crate) fn grantable(ctx: &OpContext) -> Option<Held<'_>> {
    match &ctx.actor {
        Actor::Token(facts) => Some(Held(&facts.surroundings.rights)),
        _ => None,
    }
}

/// Returns the further limits on what a caller may put on tokens. A calling token is limited only
/// by [`grantable`]. A person may grant, among the scopes of these catalogues, those that their
/// membership covers. Returns fewer rights if the steps don't suffice.
pub(crate) fn rights(
    ctx: &OpContext,
    grants: &Grants,
    catalogues: &[StoredCatalogue],
    steps: &mut Steps,
) -> Rights {
    if grantable(ctx).is_some() {
        return Rights::All;
    }
    let known: Vec<KnownScope> =
        catalogues.iter().flat_map(|stored| known_scopes(&stored.catalogue)).collect();
    grants.rights_within(&known, steps)
}

/// Returns whether policy allows tokens whose secret can be shown again.
pub(super) fn may_be_recoverable(policy: &Policy) -> bool {
    policy.reveal == Reveal::RecoverableAllowed
}

/// Returns the owner of a new token. The owner must be enabled, and a member of the workspace
/// or an administrator of the instance. Only such an administrator may create tokens for
/// another administrator, because what a token may do beyond the workspace must not exceed its
/// creator's rights.
pub(crate) async fn holder(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    wanted: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Result<Option<UserSummary>, ServiceError> {
    let user = match (wanted, ctx.user_id()) {
        (Some(text), _) => find(connection, text).await?,
        (None, Some(id)) => users::by_id(connection, id).await?,
        (None, None) => users::first_administrator(connection, access.workspace.id).await?,
    };
    let Some(user) = user.filter(|user| user.enabled) else {
        errors.push(FieldError::new(
            "user",
            "must be the e-mail address or id of a member of this workspace",
        ));
        return Ok(None);
    };
    let member = workspaces::role(connection, access.tenant(), user.summary.id).await?.is_some();
    // Other callers must not find out who administers the instance.
    let may_act_as = may_act_as(ctx, &user);
    if !(member || manages_instance(&user) && may_act_as) {
        errors.push(FieldError::new(
            "user",
            "must be the e-mail address or id of a member of this workspace",
        ));
        return Ok(None);
    }
    if access.own.is_some_and(|own| own != user.summary.id) {
        errors.push(FieldError::new(
            "user",
            "must be yourself: members can create only their own tokens",
        ));
        return Ok(None);
    }
    if !may_act_as {
        errors.push(FieldError::new(
            "user",
            "is an instance administrator: only another instance administrator can do this",
        ));
        return Ok(None);
    }
    Ok(Some(user.summary))
}

/// Checks again, after tokens were written, that the caller may create tokens that act as these
/// users. The commit refuses the change if the role of one of them has changed by then. A change
/// that raises a user's role searches for tokens that act as them afterwards.
///
/// Doesn't lock the users' rows, because token creations could then delay a change that stops
/// those users.
pub(crate) async fn keep_holders(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    users: impl IntoIterator<Item = UserId>,
) -> Result<(), ServiceError> {
    let users: BTreeSet<UserId> = users.into_iter().collect();
    for user in users {
        keep_holder(transaction, ctx, user).await?;
    }
    Ok(())
}

async fn keep_holder(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: UserId,
) -> Result<(), ServiceError> {
    let user = users::by_id(transaction, user).await?.filter(|user| user.enabled);
    match user {
        Some(user) if may_act_as(ctx, &user) => {
            transaction.acts_as(user.summary.id, user.instance_role);
            Ok(())
        }
        Some(_) => Err(ServiceError::invalid(
            "user",
            "is an instance administrator: only another instance administrator can do this",
        )),
        None => Err(ServiceError::invalid(
            "user",
            "must be the e-mail address or id of a member of this workspace",
        )),
    }
}

/// Refuses the secret of a token to callers who could not have created that token. For a calling
/// token, this includes the addresses and the rate limit: otherwise it could escape its own. A
/// calling token cannot get the secret of a token that created it or knows its secret. That token
/// may have leaked, and its new secret would leak to the same people.
pub(super) async fn may_hold_secret(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    token: &Token,
) -> Result<(), ServiceError> {
    if let Some(lifting) = Lifting::of(transaction, ctx, access, token.id).await? {
        lifting.check_secret()?;
    }
    let grantor = Grantor::of(transaction, ctx, access).await?;
    let shortfall = match grantor.check_secret(transaction, token).await? {
        Ok(()) => return Ok(()),
        Err(shortfall) => shortfall,
    };
    Err(ServiceError::Forbidden(match shortfall {
        Shortfall::Scopes => {
            "The token has scopes that you may not grant, so you can't get its secret."
        }
        Shortfall::HeldScopes => {
            "The token has scopes that the calling token doesn't hold, so the calling token can't get its secret."
        }
        Shortfall::Audiences => {
            "The token is meant for APIs that the calling token is not meant for, so the calling token can't get its secret."
        }
        Shortfall::Owner => {
            "The token acts as an instance administrator. Only another instance administrator can get its secret."
        }
        Shortfall::Bounds(errors) => return Err(ServiceError::BoundExceeded(errors)),
        too_long @ Shortfall::TooLong => return Err(too_long.into()),
    }))
}

/// Checks whether the caller may see a secret that stays in use. The rule is [`may_hold_secret`],
/// and a calling token with an expiry, or with a secret in its grace, must not see the secret of a
/// token that expires later: it could use that secret after its own expiry. For the secret of the
/// calling token itself, see [`super::refuse_superseded`].
pub(crate) async fn may_see_secret(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    token: &Token,
) -> Result<(), ServiceError> {
    may_hold_secret(transaction, ctx, access, token).await?;
    let is_own = ctx.own_token() == Some(token.id);
    let end = bounds(ctx).filter(|_| !is_own).map(|bounds| bounds.expires_at);
    if end.is_some_and(|end| ends_later(token.expires_at, end)) {
        let message = "of the token is later than the expiry of the calling token or of the secret that it presented, so the secret cannot be shown";
        return Err(ServiceError::BoundExceeded(vec![FieldError::new("expires_at", message)]));
    }
    Ok(())
}

/// Returns whether a caller may hold tokens that act as this user.
pub(super) fn may_act_as(ctx: &OpContext, user: &User) -> bool {
    let own = ctx.user_id() == Some(user.summary.id);
    let equal = match &ctx.actor {
        Actor::Operator => true,
        Actor::User(visitor) => visitor.is_instance_admin(),
        Actor::Token(_) | Actor::Restricted(_) | Actor::Anonymous => false,
    };
    own || equal || !manages_instance(user)
}

const fn manages_instance(user: &User) -> bool {
    matches!(user.instance_role, InstanceRole::Owner | InstanceRole::Admin)
}

async fn find(connection: &mut PgConnection, text: &str) -> Result<Option<User>, ServiceError> {
    if let Ok(id) = text.trim().parse::<UserId>() {
        return Ok(users::by_id(connection, id).await?);
    }
    match WrittenEmail::read(text) {
        Some(email) => Ok(users::by_email(connection, &email).await?),
        None => Ok(None),
    }
}
