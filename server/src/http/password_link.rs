//! The URL of a link that sets a password.

use authority::PasswordLink;

use crate::config::Config;

/// Returns the URL. The path is the only part that contains the secret: logs contain only the
/// route's template.
pub(crate) fn password_link(link: &PasswordLink, config: &Config) -> String {
    format!("{}/reset-password/{}", config.public_origin(), link.secret.expose())
}
