//! Authorisation: the first step of every service method.
//!
//! A caller's permissions in a workspace are looked up again for every operation, so that losing a
//! role takes effect immediately. A record that the caller may not see is not found (404); an
//! operation that the caller may not perform on a visible record is forbidden (403).

mod excess;
mod foreseen;
mod held;
mod people;
mod stopping;

pub(crate) use excess::excess;
pub(crate) use foreseen::Foreseen;
pub(crate) use held::Held;
pub(crate) use people::{check_owner, locked, manages_one};
pub(crate) use stopping::is_being_disabled;

use std::sync::OnceLock;

use crate::kernel::Facts;
use domain::{
    access::{Permission, Permissions, TokenReach},
    catalogue::TESSERA_AUDIENCE,
    decision::{DecisionCode, Demand},
    grants::{GrantPattern, Grants},
    held::HeldScope,
    ids::{InvitationId, TokenId, UserId},
    names::Slug,
    roles::WorkspaceRole,
    workspace::{Invitation, Workspace},
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    ServiceError,
    kernel::{Actor, OpContext, Tenant},
    store::{
        descendants, facts,
        invitations::{self, Addressed, Inviter},
        workspaces::{self, Standing},
    },
};

/// A caller's standing in a workspace, after authorisation.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) workspace: Workspace,
    pub(crate) role: Option<WorkspaceRole>,
    pub(crate) permissions: Permissions,
    /// Which tokens of the workspace the caller can reach, regardless of the operation.
    pub(crate) reach: TokenReach,
    /// The scopes that the caller may grant to tokens.
    pub(crate) grants: Grants,
    /// The only user whose tokens the caller can reach in this operation, without being able to
    /// hand them over; `None` means all tokens of the workspace.
    pub(crate) own: Option<UserId>,
    /// How the calling token relates to the token that it changes.
    pub(crate) foreseen: OnceLock<Foreseen>,
}

impl Access {
    pub(crate) const fn tenant(&self) -> Tenant {
        Tenant::authorised(self.workspace.id)
    }
}

/// Returns the caller's permissions in a workspace, given their standing in it.
pub(crate) fn permissions(ctx: &OpContext, standing: &Standing) -> Permissions {
    bounded(ctx, standing, of_user(standing))
}

/// Returns the caller's permissions in a workspace on the caller's own tokens.
fn own_permissions(ctx: &OpContext, standing: &Standing) -> Permissions {
    bounded(ctx, standing, of_user(standing).on_own_tokens())
}

/// Returns whether the caller may create tokens in a workspace, at least their own.
pub(crate) fn makes_tokens(ctx: &OpContext, standing: &Standing) -> bool {
    own_permissions(ctx, standing).allows(Permission::TokensWrite)
}

fn of_user(standing: &Standing) -> Permissions {
    standing.instance_role.map_or(Permissions::NONE, |instance| {
        Permissions::of_user(instance, standing.role, standing.self_service)
    })
}

/// Restricts a user's permissions to those of this kind of caller.
fn bounded(ctx: &OpContext, standing: &Standing, of_user: Permissions) -> Permissions {
    match &ctx.actor {
        Actor::Anonymous | Actor::Restricted(_) => Permissions::NONE,
        Actor::Operator => Permissions::ALL,
        Actor::User(_) => of_user,
        // A token reaches only its own workspace, and may do there only what both its scopes and
        // its owner's role allow.
        Actor::Token(facts) => {
            if facts.surroundings.workspace_id == standing.workspace.id {
                permissions_of_token(facts, of_user)
            } else {
                Permissions::NONE
            }
        }
    }
}

/// Returns what a token may do in its workspace, given the permissions of its owner.
fn permissions_of_token(facts: &Facts, of_user: Permissions) -> Permissions {
    of_user.and(Permissions::of_scopes(facts.surroundings.granted_in(TESSERA_AUDIENCE)))
}

/// Returns the scopes that a token may grant to tokens of its workspace.
fn grants_of_token(facts: &Facts) -> Grants {
    let held = Held(&facts.surroundings.rights);
    Grants::exactly(
        held.pairs().map(|(audience, scope)| HeldScope {
            audience: audience.clone(),
            scope: scope.clone(),
        }),
    )
}

/// Returns the scopes that the caller may grant to tokens of this workspace.
fn grants(ctx: &OpContext, standing: &Standing) -> Grants {
    match &ctx.actor {
        Actor::Anonymous | Actor::Restricted(_) => Grants::Patterns(Vec::new()),
        Actor::Operator => Grants::All,
        Actor::User(_) => standing.instance_role.map_or(Grants::Patterns(Vec::new()), |instance| {
            Grants::of(instance, standing.role, standing.grants.as_deref())
        }),
        Actor::Token(facts) => grants_of_token(facts),
    }
}

/// Authorises an operation on the workspace with this slug.
pub(crate) async fn authorise(
    connection: &mut PgConnection,
    ctx: &OpContext,
    slug: &Slug,
    permission: Permission,
) -> Result<Access, ServiceError> {
    ctx.authenticated()?;
    let standing = workspaces::standing_by_slug(connection, slug, ctx.user_id()).await?;
    let standing = standing.ok_or(ServiceError::NotFound("workspace"))?;
    let permissions = permissions(ctx, &standing);
    let access = admit(ctx, standing, permissions, permission, "workspace")?;
    not_being_stopped(connection, ctx, permission).await?;
    Ok(access)
}

/// Refuses to let a token change tokens or members, or reveal secrets, while it is being stopped:
/// the stop might miss the token's latest changes.
async fn not_being_stopped(
    connection: &mut PgConnection,
    ctx: &OpContext,
    permission: Permission,
) -> Result<(), ServiceError> {
    let Actor::Token(facts) = &ctx.actor else { return Ok(()) };
    if !matches!(
        permission,
        Permission::TokensWrite
            | Permission::OwnTokens
            | Permission::TokensReveal
            | Permission::MembersWrite
    ) {
        return Ok(());
    }
    let tenant = Tenant::of_own_token(facts);
    if descendants::are_stopped(connection, tenant, facts.token_id).await?
        || is_being_disabled(connection, tenant.id(), facts.token_id, ctx.now).await?
    {
        return Err(ServiceError::Busy);
    }
    Ok(())
}

/// Authorises an operation on tokens of the workspace: on all of them or, if members manage their
/// own, on the caller's. Callers of this function must respect [`Access::own`].
pub(crate) async fn authorise_tokens(
    connection: &mut PgConnection,
    ctx: &OpContext,
    slug: &Slug,
    permission: Permission,
) -> Result<Access, ServiceError> {
    ctx.authenticated()?;
    let standing = workspaces::standing_by_slug(connection, slug, ctx.user_id()).await?;
    let standing = standing.ok_or(ServiceError::NotFound("workspace"))?;
    let (all, own) = (permissions(ctx, &standing), own_permissions(ctx, &standing));
    let access = if all.allows(permission) || !own.allows(permission) {
        admit(ctx, standing, all, permission, "workspace")?
    } else {
        let access = admit(ctx, standing, own, permission, "workspace")?;
        Access { own: ctx.user_id(), ..access }
    };
    not_being_stopped(connection, ctx, permission).await?;
    Ok(access)
}

/// Authorises an operation on a token, by its workspace and its owner.
pub(crate) async fn authorise_token(
    connection: &mut PgConnection,
    ctx: &OpContext,
    token: TokenId,
    permission: Permission,
) -> Result<Access, ServiceError> {
    ctx.authenticated()?;
    let standing = workspaces::standing_by_token(connection, token, ctx.user_id()).await?;
    let standing = standing.ok_or(ServiceError::NotFound("token"))?;
    let is_own = standing.token_user.is_some() && standing.token_user == ctx.user_id();
    let (all, own) = (permissions(ctx, &standing), own_permissions(ctx, &standing));
    let sees_own_alone = own.allows(Permission::TokensRead) && !all.allows(Permission::TokensRead);
    if !is_own && sees_own_alone {
        return Err(ServiceError::NotFound("token"));
    }
    let permissions = if is_own { own } else { all };
    let access = admit(ctx, standing, permissions, permission, "token")?;
    not_being_stopped(connection, ctx, permission).await?;
    let only_own = !all.allows(permission);
    Ok(Access { own: only_own.then(|| ctx.user_id()).flatten(), ..access })
}

/// Authorises the person to whom an open invitation is addressed. An invitation to another person,
/// or one whose inviter may not grant its role any more, is not found.
pub(crate) async fn authorise_addressee(
    connection: &mut PgConnection,
    ctx: &OpContext,
    id: InvitationId,
) -> Result<(Tenant, UserId, Invitation), ServiceError> {
    let visitor = ctx.person()?;
    let addressed =
        invitations::addressed_to(connection, &visitor.user.email, Some(id), ctx.now).await?;
    let found = standing(connection, ctx, addressed).await?.pop();
    found
        .map(|found| (Tenant::authorised(found.workspace), visitor.user.id, found.invitation))
        .ok_or(ServiceError::NotFound("invitation"))
}

/// Returns the invitations that their inviter could still send.
pub(crate) async fn standing(
    connection: &mut PgConnection,
    ctx: &OpContext,
    addressed: Vec<Addressed>,
) -> Result<Vec<Addressed>, ServiceError> {
    let mut standing = Vec::with_capacity(addressed.len());
    for one in addressed {
        let invitation = &one.invitation;
        let terms = Terms {
            role: invitation.role,
            grants: invitation.grants.as_deref(),
            invited_by: invitation.invited_by.id,
            created_at: invitation.created_at,
        };
        if still_stands(connection, ctx, &one.inviter, terms).await? {
            standing.push(one);
        }
    }
    Ok(standing)
}

/// Removes the addresses that a token is bound to. The person who opens the token's invitation is
/// at another address.
fn without_addresses(mut facts: Facts) -> Facts {
    facts.ip_allow.clear();
    facts
}

/// The terms of an invitation. Together with its sender they decide whether it is still valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) role: WorkspaceRole,
    pub(crate) grants: Option<&'a [GrantPattern]>,
    pub(crate) invited_by: UserId,
    pub(crate) created_at: OffsetDateTime,
}

/// Returns whether the inviter could still send this invitation. A token could if its requests
/// would be accepted and its current scopes suffice. Invitations that it sent as another user, or
/// with an earlier secret, are not valid any more.
pub(crate) async fn still_stands(
    connection: &mut PgConnection,
    ctx: &OpContext,
    inviter: &Inviter,
    terms: Terms<'_>,
) -> Result<bool, ServiceError> {
    let Inviter { role, grants, token, .. } = inviter;
    let Some(instance) = inviter.instance_role else { return Ok(false) };
    // Self-service does not count towards the rights that are granted to members.
    let of_user = Permissions::of_user(instance, *role, false);
    let (held, held_grants) = match token {
        None => (of_user, Grants::of(instance, *role, grants.as_deref())),
        Some(token) => {
            let facts = facts::of_token(connection, *token).await?.map(without_addresses);
            let facts = facts.filter(|facts| {
                facts.decide(&Demand::default(), ctx.now) == DecisionCode::Valid
                    && facts.user_id() == terms.invited_by
                    && facts.secret.created_at <= terms.created_at
            });
            let Some(facts) = facts else { return Ok(false) };
            (permissions_of_token(&facts, of_user), grants_of_token(&facts))
        }
    };
    let excess = excess(held, &held_grants, terms.role, terms.grants);
    Ok(held.allows(Permission::MembersWrite) && !excess.role && !excess.grants)
}

/// Authorises operations that every token may perform on itself. Needs no scope.
pub(crate) async fn authorise_self<'a>(
    connection: &mut PgConnection,
    ctx: &'a OpContext,
) -> Result<(Access, &'a Facts), ServiceError> {
    let Actor::Token(facts) = &ctx.actor else {
        return Err(ServiceError::Unauthenticated);
    };
    let access = of_facts(connection, facts).await?.ok_or(ServiceError::NotFound("token"))?;
    Ok((access, facts.as_ref()))
}

/// Returns the workspace of a token that a verification looked up, for the rows that the
/// verification itself writes. Returns `None` when the token was deleted in the meantime.
pub(crate) async fn of_facts(
    connection: &mut PgConnection,
    facts: &Facts,
) -> Result<Option<Access>, ServiceError> {
    let standing =
        workspaces::standing_by_token(connection, facts.token_id, Some(facts.surroundings.user.id))
            .await?;
    Ok(standing.map(|standing| Access {
        workspace: standing.workspace,
        role: standing.role,
        permissions: Permissions::NONE,
        reach: TokenReach::None,
        grants: Grants::Patterns(Vec::new()),
        own: None,
        foreseen: OnceLock::new(),
    }))
}

/// Returns the caller's standing in a workspace that they may see, otherwise `None`.
pub(crate) fn visible(ctx: &OpContext, standing: Standing) -> Option<Access> {
    let permissions = permissions(ctx, &standing);
    admit(ctx, standing, permissions, Permission::WorkspaceRead, "workspace").ok()
}

fn admit(
    ctx: &OpContext,
    standing: Standing,
    permissions: Permissions,
    permission: Permission,
    what: &'static str,
) -> Result<Access, ServiceError> {
    if permissions.is_empty() {
        // A token knows its own workspace anyway, so there it learns which scope it lacks, even if
        // it has no scope of this audience.
        let own = matches!(&ctx.actor, Actor::Token(facts) if facts.surroundings.workspace_id == standing.workspace.id);
        return Err(if own { lacking(permission) } else { ServiceError::NotFound(what) });
    }
    if !permissions.allows(permission) {
        return Err(match ctx.actor {
            Actor::Token(_) => lacking(permission),
            // A caller who may not see tokens must not learn that this one exists.
            _ if what == "token" && !permissions.allows(Permission::TokensRead) => {
                ServiceError::NotFound(what)
            }
            _ if matches!(permission, Permission::TokensRead | Permission::TokensWrite) => {
                ServiceError::Forbidden("Only administrators manage API tokens.")
            }
            _ => ServiceError::Forbidden("Your role in this workspace doesn't allow this."),
        });
    }
    let grants = grants(ctx, &standing);
    let reach = TokenReach::of(self::permissions(ctx, &standing), own_permissions(ctx, &standing));
    Ok(Access {
        workspace: standing.workspace,
        role: standing.role,
        permissions,
        reach,
        grants,
        own: None,
        foreseen: OnceLock::new(),
    })
}

/// Returns the error for a token that lacks a permission. It names the scope that grants it.
pub(crate) const fn lacking(permission: Permission) -> ServiceError {
    ServiceError::InsufficientScope(match permission {
        Permission::WorkspaceRead => "workspaces:read",
        Permission::TokensRead => "tokens:read",
        Permission::TokensWrite | Permission::OwnTokens => "tokens:write",
        Permission::TokensReveal => "tokens:reveal",
        Permission::Verify => "verify",
        Permission::MembersRead => "members:read",
        Permission::MembersWrite => "members:write",
        Permission::PolicyWrite => "policy:write",
        Permission::AuditRead => "audit:read",
        Permission::WorkspaceWrite | Permission::InstanceWrite => "workspaces:write",
    })
}
