//! Authorisation: the first act of every service method.
//!
//! A caller's power in a workspace is looked up anew for every operation, so that a role that was
//! taken away is gone at once. What may not be seen is not found (404); what may be seen but not
//! done is forbidden (403).

use domain::{
    access::{Permission, Permissions},
    catalogue::TESSERA_AUDIENCE,
    decision::Facts,
    ids::{TokenId, UserId, WorkspaceId},
    names::Slug,
    roles::WorkspaceRole,
    workspace::Workspace,
};
use sqlx::PgConnection;

use crate::{
    ServiceError,
    context::{Actor, OpContext},
    store::workspaces::{self, Standing},
};

/// The right to name a workspace in a query. Made here alone, by authorising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant(WorkspaceId);

impl Tenant {
    pub(crate) const fn id(self) -> WorkspaceId {
        self.0
    }

    /// A token's own workspace, for what every token may do with itself.
    pub(crate) const fn of_own_token(facts: &Facts) -> Self {
        Self(facts.workspace_id)
    }
}

/// What a caller is in a workspace, after authorisation.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) workspace: Workspace,
    pub(crate) role: Option<WorkspaceRole>,
    pub(crate) permissions: Permissions,
}

impl Access {
    pub(crate) const fn tenant(&self) -> Tenant {
        Tenant(self.workspace.id)
    }
}

impl OpContext {
    /// The user that the caller is or acts as.
    pub(crate) fn user_id(&self) -> Option<UserId> {
        match &self.actor {
            Actor::User(visitor) => Some(visitor.user.id),
            Actor::Token(facts) => Some(facts.user.id),
            Actor::Anonymous | Actor::Operator => None,
        }
    }

    /// Refuses callers that Tessera does not know.
    pub(crate) const fn authenticated(&self) -> Result<(), ServiceError> {
        match self.actor {
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            _ => Ok(()),
        }
    }

    /// Lets the command line and administrators of the instance through.
    pub(crate) fn manages_instance(&self) -> Result<(), ServiceError> {
        match &self.actor {
            Actor::Operator => Ok(()),
            Actor::User(visitor) if visitor.is_instance_admin() => Ok(()),
            Actor::User(_) | Actor::Token(_) => {
                Err(ServiceError::Forbidden("Only administrators of the instance may do this."))
            }
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
        }
    }

    /// Lets the command line through alone.
    pub(crate) const fn is_operator(&self) -> Result<(), ServiceError> {
        match self.actor {
            Actor::Operator => Ok(()),
            Actor::Anonymous => Err(ServiceError::Unauthenticated),
            _ => Err(ServiceError::Forbidden("This is done on the server's command line alone.")),
        }
    }
}

/// What the caller may do in a workspace, given their standing in it.
pub(crate) fn permissions(ctx: &OpContext, standing: &Standing) -> Permissions {
    let of_user = standing
        .instance_role
        .map_or(Permissions::NONE, |instance| Permissions::of_user(instance, standing.role));
    match &ctx.actor {
        Actor::Anonymous => Permissions::NONE,
        Actor::Operator => Permissions::ALL,
        Actor::User(_) => of_user,
        // A token reaches its own workspace only, and there what both its scopes and its user may.
        Actor::Token(facts) => {
            let audience = facts.audiences.iter().any(|slug| slug.as_ref() == TESSERA_AUDIENCE);
            if audience && facts.workspace_id == standing.workspace.id {
                of_user.and(Permissions::of_scopes(&facts.granted))
            } else {
                Permissions::NONE
            }
        }
    }
}

/// Authorises an operation on the workspace of this slug.
pub(crate) async fn authorise(
    connection: &mut PgConnection,
    ctx: &OpContext,
    slug: &Slug,
    permission: Permission,
) -> Result<Access, ServiceError> {
    ctx.authenticated()?;
    let standing = workspaces::standing_by_slug(connection, slug, ctx.user_id()).await?;
    admit(ctx, standing, permission, "workspace")
}

/// Authorises an operation on a token, by the workspace that it belongs to.
pub(crate) async fn authorise_token(
    connection: &mut PgConnection,
    ctx: &OpContext,
    token: TokenId,
    permission: Permission,
) -> Result<Access, ServiceError> {
    ctx.authenticated()?;
    let standing = workspaces::standing_by_token(connection, token, ctx.user_id()).await?;
    admit(ctx, standing, permission, "token")
}

/// Authorises what every token may do with itself. No scope is asked for.
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

/// The workspace of a token that a verification looked up, for what that verification itself writes.
/// `None` when the token was deleted in the meantime.
pub(crate) async fn of_facts(
    connection: &mut PgConnection,
    facts: &Facts,
) -> Result<Option<Access>, ServiceError> {
    let standing =
        workspaces::standing_by_token(connection, facts.token_id, Some(facts.user.id)).await?;
    Ok(standing.map(|standing| Access {
        workspace: standing.workspace,
        role: standing.role,
        permissions: Permissions::NONE,
    }))
}

fn admit(
    ctx: &OpContext,
    standing: Option<Standing>,
    permission: Permission,
    what: &'static str,
) -> Result<Access, ServiceError> {
    let standing = standing.ok_or(ServiceError::NotFound(what))?;
    let permissions = permissions(ctx, &standing);
    if permissions.is_empty() {
        // A token that holds nothing of this audience at all learns what it lacks, in its own
        // workspace, which it knows anyway.
        let own = matches!(&ctx.actor, Actor::Token(facts) if facts.workspace_id == standing.workspace.id);
        return Err(if own { lacking(permission) } else { ServiceError::NotFound(what) });
    }
    if !permissions.allows(permission) {
        return Err(match ctx.actor {
            Actor::Token(_) => lacking(permission),
            // Who may not see tokens does not learn that there is this one.
            _ if what == "token" && !permissions.allows(Permission::TokensRead) => {
                ServiceError::NotFound(what)
            }
            _ if matches!(permission, Permission::TokensRead | Permission::TokensWrite) => {
                ServiceError::Forbidden("Only administrators manage API tokens.")
            }
            _ => ServiceError::Forbidden("Your role in this workspace does not allow this."),
        });
    }
    Ok(Access { workspace: standing.workspace, role: standing.role, permissions })
}

/// The error of a token that lacks a permission: names the scope that gives it.
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
