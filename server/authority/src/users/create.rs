//! Make a person with a password, or a service account.

use domain::{
    ids::UserId,
    names::{DisplayName, Email},
    problem::FieldError,
    roles::{InstanceRole, UserKind},
    user::User,
};

use super::{Users, check_kind, check_owner, snapshot};
use crate::{
    OpContext, ServiceError,
    audit::{Change, record},
    password::check_strength,
    secret::Password,
    setup::{email_taken, parse},
    store::{instance, users as store},
};

/// A user to make.
#[derive(Debug)]
pub struct NewUser {
    /// Whether it signs in.
    pub kind: UserKind,
    /// The address; a service account has one too, as a name.
    pub email: String,
    /// The name; the part of the address before the `@` when there is none.
    pub name: Option<String>,
    /// What it is on the whole instance.
    pub instance_role: InstanceRole,
    /// The password of a person; a service account has none.
    pub password: Option<Password>,
}

impl Users<'_> {
    /// Makes a user. It belongs to no workspace yet.
    ///
    /// # Errors
    /// `Invalid` with the fields `email`, `name`, `password`, `instance_role`; `AlreadyExists` when
    /// the address is in use, also by a user who was removed; `Forbidden` when an owner is wanted by
    /// somebody who is none.
    pub async fn create(&self, ctx: &OpContext, new: NewUser) -> Result<User, ServiceError> {
        ctx.manages_instance()?;
        check_owner(ctx, &[new.instance_role])?;
        let mut errors = Vec::new();
        let email = parse::<Email>("email", &new.email, &mut errors);
        let given = new
            .name
            .as_deref()
            .unwrap_or_else(|| new.email.trim().split('@').next().unwrap_or_default());
        let name = parse::<DisplayName>("name", given, &mut errors);
        let organisation = {
            let mut connection = self.inner.connection().await?;
            instance::name(&mut connection).await?.unwrap_or_default()
        };
        let address = email.as_ref().map(AsRef::as_ref).unwrap_or_default();
        match (new.kind, &new.password) {
            (UserKind::Person, Some(password)) => {
                if let Err(message) = check_strength(password, &[address, given, &organisation]) {
                    errors.push(FieldError::new("password", message));
                }
            }
            (UserKind::Person, None) => errors.push(FieldError::new("password", "is missing")),
            (UserKind::Service, Some(_)) => {
                let message = "must not be given: a service account never signs in";
                errors.push(FieldError::new("password", message));
            }
            (UserKind::Service, None) => {}
        }
        let (Some(email), Some(name), true) = (email, name, errors.is_empty()) else {
            return Err(ServiceError::Invalid(errors));
        };
        check_kind(new.kind, new.instance_role)?;
        let hash = match &new.password {
            Some(password) => {
                Some(self.inner.passwords.hash(password, self.inner.entropy.as_ref()).await?)
            }
            None => None,
        };
        let id = UserId(self.inner.uuid(ctx.now));
        let user = store::NewUser {
            id,
            kind: new.kind,
            email: &email,
            name: name.as_ref(),
            password_hash: hash.as_deref(),
            instance_role: new.instance_role,
        };
        let mut transaction = self.inner.begin().await?;
        store::insert(&mut transaction, &user, ctx.now).await.map_err(email_taken)?;
        let user =
            store::record(&mut transaction, id).await?.ok_or(ServiceError::NotFound("user"))?;
        let change = Change {
            workspace: None,
            action: "user.create",
            subject_id: Some(id.0),
            subject_name: &user.summary.email,
            before: None,
            after: Some(snapshot(&user)),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(user)
    }
}
