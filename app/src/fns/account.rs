//! Data for the pages about passwords.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// The visitor's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// The account's email address.
    pub email: String,
    /// Whether the password was chosen by another person and must be changed.
    pub must_change_password: bool,
    /// Whether the password does not meet the rules for new passwords.
    pub password_is_weak: bool,
}

/// Returns the visitor's account, also for users who must change their password first.
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

/// Returns the email address of the user whose password this link sets. Fails with "not found" if
/// the link does not work.
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
