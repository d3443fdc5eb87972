//! Policies and presets: show, preview and change them.
//!
//! A policy has two levels, the instance's and a workspace's. A change applies to tokens that are
//! created from then on. Existing tokens are not affected, and a preview lists those that would not
//! fit.

mod apply_preset;
mod change;
mod check;
mod preview;
mod show;

use domain::{access::Permission, names::Slug, policy::PolicyRules};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    kernel::{Actor, Tenant},
    state::Inner,
    store::policies::{self as store, Level},
    work::{Heavy, Kind},
};

/// Policies and presets.
#[derive(Clone, Copy)]
pub struct Policies<'a> {
    pub(crate) inner: &'a Inner,
}

/// The level whose rules are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyLevel {
    /// The instance, whose rules bind every workspace.
    Instance,
    /// A workspace.
    Workspace(Slug),
}

/// Returns the tenant under which heavy work about a level is queued.
fn tenant(ctx: &OpContext, opened: &Opened) -> Uuid {
    match (&opened.access, &ctx.actor) {
        (Some(access), _) => access.workspace.id.0,
        (None, Actor::Token(facts)) => facts.surroundings.workspace_id.0,
        (None, _) => ctx.user_id().map_or(Uuid::nil(), |user| user.0),
    }
}

impl Policies<'_> {
    /// Finds all mistakes in the rules, off the threads that serve requests.
    ///
    /// # Errors
    ///
    /// `Invalid` with the rules' names as fields; `Busy`.
    async fn check(
        &self,
        ctx: &OpContext,
        opened: &Opened,
        rules: &PolicyRules,
    ) -> Result<(), ServiceError> {
        let rules = rules.clone();
        let check = move |heavy: &Heavy| check::check(&rules, heavy);
        self.inner.work.run(Kind::Name, tenant(ctx, opened), check).await?
    }
}

/// A level that the caller may see, with the level above it.
struct Opened {
    /// `None` for the instance.
    access: Option<Access>,
    instance: Level,
    workspace: Level,
}

impl Opened {
    fn tenant(&self) -> Option<Tenant> {
        self.access.as_ref().map(Access::tenant)
    }

    /// Returns the level itself.
    fn own(&self) -> &Level {
        if self.access.is_some() { &self.workspace } else { &self.instance }
    }

    /// Returns the rules of both levels with these rules in place of the level's own.
    fn with(&self, rules: &PolicyRules) -> (PolicyRules, PolicyRules) {
        if self.access.is_some() {
            (self.instance.rules.clone(), rules.clone())
        } else {
            (rules.clone(), PolicyRules::default())
        }
    }

    async fn read_again(&mut self, connection: &mut PgConnection) -> Result<(), ServiceError> {
        (self.instance, self.workspace) = store::stored(connection, self.tenant()).await?;
        Ok(())
    }
}

/// Authorises the caller and reads the level. The instance's rules require an administrator of the
/// instance; a workspace's rules require `permission` there.
async fn open(
    connection: &mut PgConnection,
    ctx: &OpContext,
    level: &PolicyLevel,
    permission: Permission,
) -> Result<Opened, ServiceError> {
    let access = match level {
        PolicyLevel::Instance => {
            ctx.manages_instance()?;
            None
        }
        PolicyLevel::Workspace(slug) => {
            Some(access::authorise(connection, ctx, slug, permission).await?)
        }
    };
    let (instance, workspace) =
        store::stored(connection, access.as_ref().map(Access::tenant)).await?;
    Ok(Opened { access, instance, workspace })
}
