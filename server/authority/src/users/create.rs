//! Create a person or a service account.

use domain::{
    audit_action::AuditAction,
    ids::UserId,
    names::{DisplayName, Email},
    problem::FieldError,
    roles::{InstanceRole, UserKind},
    user::User,
};

use crate::{
    OpContext, PasswordLink, ServiceError,
    access::check_owner,
    audit::record,
    kernel::{Change, parse},
    password::{Tenant, about},
    passwords,
    secret::Password,
    store::{addresses, users as store},
    transaction::Transaction,
    users::{Users, check_kind, email_taken, snapshot},
};

/// A user to create.
#[derive(Debug)]
pub struct NewUser {
    /// The kind of account. Only people sign in.
    pub kind: UserKind,
    /// The address. For a service account, it is only a name.
    pub email: String,
    /// The name. Defaults to the part of the address before the `@`.
    pub name: Option<String>,
    /// The role on the instance.
    pub instance_role: InstanceRole,
    /// The password of a person; service accounts have none.
    pub password: Option<Password>,
}

/// Whether a person gets a password now or chooses one with a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Password,
    Link,
}

/// A user with valid fields.
struct Checked {
    kind: UserKind,
    email: Email,
    name: DisplayName,
    instance_role: InstanceRole,
    password_hash: Option<String>,
}

impl Users<'_> {
    /// Creates a user, who belongs to no workspace yet. A person must change the password that is
    /// given here when they first sign in.
    ///
    /// # Errors
    /// `Invalid` with the fields `email`, `name`, `password`, `instance_role`; `AlreadyExists` if
    /// the address is in use, also by a removed user; `Forbidden` for an owner if the caller is not
    /// an owner.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "create",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn create(&self, ctx: &OpContext, new: NewUser) -> Result<User, ServiceError> {
        let checked = self.checked(ctx, new, By::Password).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let user = self.insert(&mut transaction, ctx, &checked).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Creates a person without a password, and the one-time link with which they choose one.
    ///
    /// # Errors
    /// As [`Users::create`]; `password` must be absent, and a service account cannot have a link.
    #[tracing::instrument(skip_all, fields(
        noun = "users", verb = "create_with_link",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn create_with_link(
        &self,
        ctx: &OpContext,
        new: NewUser,
    ) -> Result<(User, PasswordLink), ServiceError> {
        let checked = self.checked(ctx, new, By::Link).await?;
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let user = self.insert(&mut transaction, ctx, &checked).await?;
        let link = passwords::issue(self.inner, &mut transaction, ctx, &user).await?;
        transaction.commit().await?;
        Ok((user, link))
    }

    async fn checked(
        &self,
        ctx: &OpContext,
        new: NewUser,
        by: By,
    ) -> Result<Checked, ServiceError> {
        ctx.manages_instance()?;
        check_owner(ctx, &[new.instance_role])?;
        let mut errors = Vec::new();
        let email = parse::<Email>("email", &new.email, &mut errors);
        let given = new
            .name
            .as_deref()
            .unwrap_or_else(|| new.email.trim().split('@').next().unwrap_or_default());
        let name = parse::<DisplayName>("name", given, &mut errors);
        let place = self.inner.names_of_place(None).await?;
        let address = email.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let mut refuse = |message: &str| errors.push(FieldError::new("password", message));
        match (new.kind, &new.password, by) {
            (UserKind::Person, Some(password), By::Password) => {
                let context = about(&[address, given], &place);
                if let Err(message) =
                    self.inner.passwords.judge(Tenant::of(ctx), password, &context).await?
                {
                    refuse(&message);
                }
            }
            (UserKind::Person, None, By::Password) => refuse("is missing"),
            (UserKind::Person, Some(_), By::Link) => {
                refuse("must be omitted: the person chooses it with the link");
            }
            (UserKind::Service, Some(_), _) => {
                refuse("must be omitted: a service account never signs in");
            }
            (UserKind::Service, None, By::Link) => {
                errors.push(FieldError::new(
                    "kind",
                    "must be person: a service account never signs in",
                ));
            }
            (UserKind::Person, None, By::Link) | (UserKind::Service, None, By::Password) => {}
        }
        let (Some(email), Some(name), true) = (email, name, errors.is_empty()) else {
            return Err(ServiceError::Invalid(errors));
        };
        check_kind(new.kind, new.instance_role)?;
        let password_hash = match &new.password {
            Some(password) => {
                let (vault, entropy) = (&self.inner.passwords, self.inner.entropy.as_ref());
                Some(vault.hash(Tenant::of(ctx), password, entropy).await?)
            }
            None => None,
        };
        Ok(Checked { kind: new.kind, email, name, instance_role: new.instance_role, password_hash })
    }

    async fn insert(
        &self,
        transaction: &mut Transaction<'_>,
        ctx: &OpContext,
        checked: &Checked,
    ) -> Result<User, ServiceError> {
        let id = UserId(self.inner.uuid(ctx.now));
        let user = store::NewUser {
            id,
            kind: checked.kind,
            email: &checked.email,
            name: checked.name.as_ref(),
            password_hash: checked.password_hash.as_deref(),
            must_change_password: checked.password_hash.is_some(),
            password_set_by: checked.password_hash.as_ref().and(ctx.user_id()),
            instance_role: checked.instance_role,
        };
        addresses::fold(transaction).await?;
        store::insert(transaction, &user, ctx.now).await.map_err(email_taken)?;
        let user = store::record(transaction, id).await?.ok_or(ServiceError::NotFound("user"))?;
        let change = Change {
            workspace: None,
            action: AuditAction::UserCreate,
            subject_id: Some(id.0),
            subject_name: &user.summary.email,
            before: None,
            after: Some(snapshot(&user)),
        };
        record(transaction, ctx, change).await?;
        Ok(user)
    }
}
