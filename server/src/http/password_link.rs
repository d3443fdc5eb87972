//! The address of a link that sets a password.

use authority::PasswordLink;

use crate::config::Config;

/// The link as people open it. Its secret is in the path and nowhere else: logs have the route's template.
pub(crate) fn password_link(link: &PasswordLink, config: &Config) -> String {
    format!("{}/reset-password/{}", config.public_origin(), link.secret.expose())
}
