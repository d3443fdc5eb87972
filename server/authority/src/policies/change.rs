//! Changes a policy.

use domain::{
    access::Permission, audit_action::AuditAction, policy::PolicyRules, policy_view::PolicyView,
};

use super::{Policies, PolicyLevel, open, show::view};
use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::{Change, Subject, Tenant},
    store::{policies as store, workspaces},
    transaction::callers::RULES,
};

impl Policies<'_> {
    /// Replaces all rules that the level sets. Writes nothing if the rules are the same. Existing
    /// tokens are not affected.
    ///
    /// # Errors
    ///
    /// `Invalid` with the rules' names as fields; `PreconditionFailed` when the level's version is
    /// not `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "policies", verb = "change",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn change(
        &self,
        ctx: &OpContext,
        level: &PolicyLevel,
        rules: PolicyRules,
        expected: Option<i64>,
    ) -> Result<PolicyView, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let mut opened = open(&mut transaction, ctx, level, Permission::PolicyWrite).await?;
        self.check(ctx, &opened, &rules).await?;
        // Creations lock the same rows if a cap applies to them, so a creation sees either the old
        // rules or the new ones.
        if let Some(tenant) = opened.tenant() {
            workspaces::lock(&mut transaction, tenant).await?;
        } else {
            // In a workspace, the lock on the end of its log does the same.
            transaction.ends_acts_of(&[RULES]);
            workspaces::lock_instance(&mut transaction).await?;
        }
        opened.read_again(&mut transaction).await?;
        if expected.is_some_and(|expected| expected != opened.own().version) {
            return Err(ServiceError::PreconditionFailed);
        }
        let before = opened.own().rules.clone();
        if before == rules {
            transaction.already_so(Subject::Workspace(opened.tenant().map(Tenant::id)));
            transaction.commit().await?;
            return Ok(view(&opened));
        }
        let tenant = opened.tenant();
        let id = self.inner.uuid(ctx.now);
        store::replace(&mut transaction, id, tenant, &rules, ctx.now).await?;
        transaction.affects(Subject::Workspace(tenant.map(Tenant::id)), AuditAction::PolicyChange);
        let name =
            opened.access.as_ref().map_or("instance", |access| access.workspace.slug.as_ref());
        let change = Change {
            workspace: tenant.map(Tenant::id),
            action: AuditAction::PolicyChange,
            subject_id: tenant.map(|tenant| tenant.id().0),
            subject_name: name,
            before: Some(serde_json::json!(before)),
            after: Some(serde_json::json!(rules)),
        };
        record(&mut transaction, ctx, change).await?;
        opened.read_again(&mut transaction).await?;
        let view = view(&opened);
        transaction.commit().await?;
        Ok(view)
    }
}
