//! Sets the instance up by the one-time link.

use domain::{
    names::{DisplayName, Email},
    problem::FieldError,
    roles::InstanceRole,
    session::Visitor,
};

use super::{Founding, Setup, link};
use crate::{
    OpContext, ServiceError, SignedIn,
    kernel::{Actor, Subject, parse},
    password::Tenant,
    secret::{Password, SetupSecret},
    sessions::{Account, Throttle},
};

/// The form behind the set-up link.
#[derive(Debug)]
pub struct SetupForm {
    /// The organisation's name.
    pub organisation: String,
    /// The owner's address.
    pub email: String,
    /// The owner's name.
    pub name: String,
    /// The owner's password.
    pub password: Password,
    /// The first workspace's name.
    pub workspace_name: String,
    /// The browser's `User-Agent`.
    pub user_agent: Option<String>,
}

impl Setup<'_> {
    /// Sets the instance up and signs its owner in.
    ///
    /// # Errors
    ///
    /// `NotFound` as [`Setup::check_link`]; `Invalid` with the fields `organisation`, `email`,
    /// `name`, `password`, `workspace_name`.
    #[tracing::instrument(skip_all, fields(
        noun = "setup", verb = "complete",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn complete(
        &self,
        ctx: &OpContext,
        secret: &SetupSecret,
        form: SetupForm,
    ) -> Result<SignedIn, ServiceError> {
        self.check_link(ctx, secret).await?;
        let mut errors = Vec::new();
        let organisation = parse::<DisplayName>("organisation", &form.organisation, &mut errors);
        let email = parse::<Email>("email", &form.email, &mut errors);
        let name = parse::<DisplayName>("name", &form.name, &mut errors);
        let workspace = parse::<DisplayName>("workspace_name", &form.workspace_name, &mut errors);
        let address = email.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let context = [address, &form.name, &form.organisation, &form.workspace_name];
        let tenant = Tenant::of(ctx);
        let throttle = Throttle::of_judged(self.inner, tenant);
        self.inner.count_judged(ctx, &throttle, link::SUBJECT).await?;
        if let Err(message) = self.inner.passwords.judge(tenant, &form.password, &context).await? {
            errors.push(FieldError::new("password", message));
        }
        let (Some(organisation), Some(email), Some(name), Some(workspace), true) =
            (organisation, email, name, workspace, errors.is_empty())
        else {
            return Err(ServiceError::Invalid(errors));
        };
        let (vault, entropy) = (&self.inner.passwords, self.inner.entropy.as_ref());
        let hash = vault.hash(tenant, &form.password, entropy).await?;
        let mut transaction = self.inner.begin().await?;
        // Checked again in the transaction: the link may have been used while the password was
        // hashed.
        link::check(&mut transaction, ctx, secret).await?;
        let founding = Founding {
            organisation: &organisation,
            email: &email,
            name: &name,
            password_hash: &hash,
            workspace: &workspace,
        };
        let owner = self.found(&mut transaction, ctx, &founding).await?;
        // Servers with other keys exit before this is acknowledged.
        transaction.narrows(Subject::User(owner.id));
        let account = Account { user: owner.id, password_hash: &hash, generation: 0 };
        let proof = self.inner.know(None, None, &account, ctx.now);
        let visitor = Visitor { user: owner, instance_role: InstanceRole::Owner };
        let ctx = OpContext { actor: Actor::User(visitor.clone()), ..ctx.clone() };
        let signed_in = self
            .inner
            .open_session(&mut transaction, &ctx, visitor, form.user_agent.as_deref())
            .await?;
        transaction.commit().await?;
        Ok(SignedIn { known_browser: Some(proof), ..signed_in })
    }
}
