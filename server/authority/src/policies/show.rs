//! Shows a policy.

use domain::{
    access::Permission,
    policy::{Policy, PolicyRules},
    policy_view::{PolicyView, sources},
};

use super::{Opened, Policies, PolicyLevel, open};
use crate::{OpContext, ServiceError};

impl Policies<'_> {
    /// Returns the rules that a level sets, the rules in force there, and where each rule comes
    /// from.
    #[tracing::instrument(skip_all, fields(
        noun = "policies", verb = "show",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn show(
        &self,
        ctx: &OpContext,
        level: &PolicyLevel,
    ) -> Result<PolicyView, ServiceError> {
        let mut connection = self.inner.connection().await?;
        Ok(view(&open(&mut connection, ctx, level, Permission::WorkspaceRead).await?))
    }
}

pub(super) fn view(opened: &Opened) -> PolicyView {
    let own = opened.own();
    let none = PolicyRules::default();
    let workspace = if opened.access.is_some() { &opened.workspace.rules } else { &none };
    PolicyView {
        workspace: opened.access.as_ref().map(|access| access.workspace.slug.clone()),
        rules: own.rules.clone(),
        instance: opened.instance.rules.clone(),
        effective: Policy::in_force(&opened.instance.rules, workspace),
        sources: sources(&opened.instance.rules, workspace),
        version: own.version,
        updated_at: own.updated_at,
    }
}
