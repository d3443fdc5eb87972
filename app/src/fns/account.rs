//! Data for the pages about passwords.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// One's own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// Its address.
    pub email: String,
    /// Whether somebody else chose the password.
    pub must_change_password: bool,
    /// Whether the password is below the rule for new ones.
    pub password_is_weak: bool,
}

/// One's own account, also for people who must change their password first.
#[server(prefix = "/console/fn", endpoint = "account", input = server_fn::codec::Json)]
pub async fn load_account() -> Result<OwnAccount, ConsoleError> {
    use crate::request;

    let request = request::request();
    let context = request.context();
    let account = request.authority.passwords().account(&context).await;
    let account = account.map_err(|error| request::failed(&request, &error))?;
    Ok(OwnAccount {
        email: account.user.email,
        must_change_password: account.must_change_password,
        password_is_weak: account.password_is_weak,
    })
}

/// The address of the person whose password this link sets; it fails as not found when the link does not
/// work.
#[server(prefix = "/console/fn", endpoint = "password/link", input = server_fn::codec::Json)]
pub async fn password_link(secret: String) -> Result<String, ConsoleError> {
    use authority::secret::PasswordLinkSecret;

    use crate::request;

    request::link_was_not_refused()?;
    let request = request::request();
    let context = request.context();
    let secret = PasswordLinkSecret::new(secret);
    let user = request.authority.passwords().check_link(&context, &secret).await;
    Ok(user.map_err(|error| request::failed(&request, &error))?.email)
}
