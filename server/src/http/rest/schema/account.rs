//! The caller's own account, and links that set a password.

use authority::{Account, PasswordLink};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::InstanceRoleBody;
use crate::{config::Config, http::password_link};

/// The account of the signed-in person.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountBody {
    /// Its ID.
    id: Uuid,
    /// Its e-mail address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Its name.
    #[schema(example = "Ada")]
    name: String,
    /// The role on the whole instance.
    instance_role: InstanceRoleBody,
    /// Whether an administrator chose the password. Until it is changed, every other call returns
    /// 403 `password_change_required`.
    must_change_password: bool,
    /// Whether the last sign-in found that the password does not meet the rules for new ones. It
    /// still works.
    password_is_weak: bool,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        Self {
            id: account.user.id.0,
            email: account.user.email,
            name: account.user.name,
            instance_role: account.instance_role.into(),
            must_change_password: account.must_change_password,
            password_is_weak: account.password_is_weak,
        }
    }
}

/// A link through which a person sets a password, once.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordLink)]
pub(crate) struct PasswordLinkBody {
    /// The link. Anyone who has it can set the password.
    #[schema(example = "https://tessera.example/reset-password/F2qv…")]
    pub(crate) url: String,
    /// When it expires: 24 hours after its creation.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) expires_at: OffsetDateTime,
}

impl PasswordLinkBody {
    /// Returns the link with its URL.
    pub(crate) fn of(link: &PasswordLink, config: &Config) -> Self {
        Self { url: password_link(link, config), expires_at: link.expires_at }
    }
}
