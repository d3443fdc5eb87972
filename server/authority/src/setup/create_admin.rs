//! Sets the instance up without a browser, and creates further administrators, on the command line.

use domain::{
    audit_action::AuditAction,
    ids::UserId,
    names::{DisplayName, Email},
    problem::FieldError,
    roles::{InstanceRole, UserKind},
    token::UserSummary,
};

use crate::{
    OpContext, ServiceError,
    audit::record,
    kernel::{Change, Subject, parse},
    password::{Tenant, about},
    secret::Password,
    setup::{Founding, Setup},
    store::{addresses, instance, users},
    users::email_taken,
};

/// An administrator to create.
#[derive(Debug)]
pub struct NewAdmin {
    /// The address.
    pub email: String,
    /// The name; `None` for the part of the address before the `@`.
    pub name: Option<String>,
    /// The password.
    pub password: Password,
}

impl Setup<'_> {
    /// Creates an administrator of the instance. On an empty database this is the set-up: the
    /// administrator becomes its owner, in an organisation and a workspace "Workspace 1".
    #[tracing::instrument(skip_all, fields(
        noun = "setup", verb = "create_admin",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn create_admin(
        &self,
        ctx: &OpContext,
        admin: NewAdmin,
    ) -> Result<UserSummary, ServiceError> {
        ctx.is_operator()?;
        let mut errors = Vec::new();
        let email = parse::<Email>("email", &admin.email, &mut errors);
        let given = admin
            .name
            .as_deref()
            .unwrap_or_else(|| admin.email.trim().split('@').next().unwrap_or_default());
        let name = parse::<DisplayName>("name", given, &mut errors);
        let place = self.inner.names_of_place(None).await?;
        let address = email.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let context = about(&[address, given], &place);
        if let Err(message) =
            self.inner.passwords.judge(Tenant::of(ctx), &admin.password, &context).await?
        {
            errors.push(FieldError::new("password", message));
        }
        let (Some(email), Some(name), true) = (email, name, errors.is_empty()) else {
            return Err(ServiceError::Invalid(errors));
        };
        let (vault, entropy) = (&self.inner.passwords, self.inner.entropy.as_ref());
        let hash = vault.hash(Tenant::of(ctx), &admin.password, entropy).await?;
        let mut transaction = self.inner.begin().await?;
        let user = if instance::exists(&mut transaction).await? {
            let summary = UserSummary {
                id: UserId(self.inner.uuid(ctx.now)),
                email: email.to_string(),
                name: name.to_string(),
            };
            let user = users::NewUser {
                id: summary.id,
                kind: UserKind::Person,
                email: &email,
                name: name.as_ref(),
                password_hash: Some(&hash),
                // A person who may run this command may do everything, and sets up their own
                // account.
                must_change_password: false,
                password_set_by: None,
                instance_role: InstanceRole::Admin,
            };
            addresses::fold(&mut transaction).await?;
            users::insert(&mut transaction, &user, ctx.now).await.map_err(email_taken)?;
            let change = Change {
                workspace: None,
                action: AuditAction::UserCreate,
                subject_id: Some(summary.id.0),
                subject_name: email.as_ref(),
                before: None,
                after: Some(serde_json::json!({ "instance_role": InstanceRole::Admin })),
            };
            record(&mut transaction, ctx, change).await?;
            summary
        } else {
            let organisation = "Tessera".parse().map_err(ServiceError::internal)?;
            let workspace = "Workspace 1".parse().map_err(ServiceError::internal)?;
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
            owner
        };
        transaction.commit().await?;
        Ok(user)
    }
}
