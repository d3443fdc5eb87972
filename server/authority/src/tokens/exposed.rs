//! Handles exposed tokens: their secret may be known to a person who could not get it now.
//! `store/secret_holders.rs` finds them.

use std::collections::BTreeSet;

use domain::{
    access::Permissions,
    catalogue::{ScopeName, TESSERA_AUDIENCE},
    grants::GrantPattern,
    ids::{TokenId, UserId, WorkspaceId},
    names::AudienceSlug,
    roles::{InstanceRole, WorkspaceRole},
};

use super::{
    Tokens,
    portions::{By, by_workspace, disable_some},
};
use crate::{
    OpContext, ServiceError,
    access::Access,
    audit::hold_end,
    store::{
        members,
        secret_holders::{self as store, ExposedToken, Sought},
        tokens_change, users, wait_briefly,
    },
    transaction::Transaction,
};

/// The maximum number of tokens in the list.
const LISTED_MAX: usize = 100;

impl Tokens<'_> {
    /// Returns up to 100 tokens that act as an owner or administrator of the instance and whose
    /// secret may be known to a person who doesn't manage the instance. Rotating or deleting such a
    /// token removes it from the list.
    ///
    /// # Errors
    /// `Forbidden` for callers who do not manage the instance.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "exposed",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn exposed(&self, ctx: &OpContext) -> Result<Vec<ExposedToken>, ServiceError> {
        ctx.manages_instance()?;
        let mut connection = self.inner.connection().await?;
        let (work, sought) = (Some(&*self.inner.work), Sought::default());
        store::with_holders(&mut connection, work, &sought, ctx.now, LISTED_MAX).await
    }
}

/// The tokens that act as a user, locked so that none of them gets another owner until the
/// transaction ends.
pub(crate) struct Acting {
    tokens: BTreeSet<TokenId>,
}

/// Locks the tokens that act as a user. They may belong to several workspaces, so the wait for each
/// lock is short. Also locks the ends of the workspaces' audit chains: the transaction must not
/// wait for them later, while it holds the lock on the user's row, which other transactions need.
pub(crate) async fn lock_acting(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    user: UserId,
) -> Result<Acting, ServiceError> {
    wait_briefly(transaction).await?;
    let locked = tokens_change::lock_of_user(transaction, user).await?;
    let workspaces: BTreeSet<WorkspaceId> =
        locked.iter().map(|(_, workspace)| *workspace).collect();
    for workspace in workspaces {
        hold_end(transaction, ctx, workspace).await?;
    }
    Ok(Acting { tokens: locked.into_iter().map(|(token, _)| token).collect() })
}

impl Acting {
    /// Disables the locked tokens that are exposed and enabled. Nearly all of them were disabled
    /// before, in portions.
    ///
    /// # Errors
    /// `Busy` if an exposed token of the user is not among the locked ones.
    pub(crate) async fn disable_exposed(
        &self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        sought: &Sought<'_>,
    ) -> Result<i64, ServiceError> {
        let sought = Sought { enabled: true, ..*sought };
        let work = Some(&*transaction.inner().work);
        let found = store::exposed(transaction, work, &sought, ctx.now).await?;
        if found.iter().any(|(_, token)| !self.tokens.contains(token)) {
            return Err(ServiceError::Busy);
        }
        let mut disabled = 0;
        for (workspace, ids) in by_workspace(&found) {
            disabled += disable_some(transaction, &By::of(ctx), &sought, (workspace, &ids)).await?;
        }
        Ok(disabled)
    }
}

/// Returns the scopes of `tessera` that have an effect for a token whose owner has this role and
/// these grants in the token's workspace.
pub(crate) fn effective_scopes(
    role: WorkspaceRole,
    grants: Option<&[GrantPattern]>,
) -> BTreeSet<String> {
    // Assume that members manage their own tokens, because policy may allow that later.
    let may = Permissions::of_user(InstanceRole::Member, Some(role), true).on_own_tokens();
    let Ok(tessera) = TESSERA_AUDIENCE.parse::<AudienceSlug>() else { return BTreeSet::new() };
    let granted = |name: &str| match (grants, role) {
        (Some(patterns), _) => name
            .parse::<ScopeName>()
            .is_ok_and(|scope| patterns.iter().any(|pattern| pattern.covers(&tessera, &scope))),
        (None, WorkspaceRole::Viewer) => name.ends_with(":read"),
        (None, WorkspaceRole::Verifier) => name == "verify",
        (None, WorkspaceRole::Admin | WorkspaceRole::Member) => true,
    };
    may.scopes().into_iter().filter(|name| granted(name)).map(ToOwned::to_owned).collect()
}

/// Refuses to hand a token over to a user if the token could then do more than a person who may
/// know its secret could grant now. The handover is already written, and the user's roles cannot
/// change until the transaction ends.
///
/// # Errors
/// `Invalid` with the field `user`.
pub(super) async fn refuse_exposed(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (token, user): (TokenId, UserId),
) -> Result<(), ServiceError> {
    let instance = users::by_id(transaction, user).await?.map(|user| user.instance_role);
    let member = members::list(transaction, access.tenant(), Some(user)).await?.pop();
    let scopes: Option<Vec<String>> = match (instance, member) {
        (Some(instance), _) if instance.manages() => None,
        (Some(_), Some(member)) => {
            let effective = effective_scopes(member.role, member.grants.as_deref());
            Some(effective.into_iter().collect())
        }
        _ => return Ok(()),
    };
    let ids = [token.0];
    let sought = Sought {
        user: Some(user),
        ids: Some(&ids),
        scopes: scopes.as_deref(),
        ..Sought::default()
    };
    let work = Some(&*transaction.inner().work);
    if store::exposed(transaction, work, &sought, ctx.now).await?.is_empty() {
        return Ok(());
    }
    let message = "cannot be this user yet: a caller with fewer rights may know the token's secret. Rotate the token without a grace period, then hand it over within an hour";
    Err(ServiceError::invalid("user", message))
}
