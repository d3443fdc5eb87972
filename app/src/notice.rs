//! The one-line message on the page that a form redirects to.
//!
//! The server sets it as a cookie on the redirect. The next page shows it, and that response clears
//! the cookie. The texts are defined here, so a cookie can only choose among them.

use serde::{Deserialize, Serialize};

/// The name of the cookie.
pub const COOKIE: &str = "notice";

/// The action that the message confirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The instance was set up.
    SetUp,
    /// The user signed out.
    SignedOut,
    /// The visitor changed their own password.
    PasswordChanged,
    /// A password was set through a one-time link.
    PasswordSet,
    /// The password used to sign in does not meet the rules for new passwords.
    PasswordIsWeak,
    /// A token was deleted.
    TokenDeleted {
        /// The token's name.
        name: String,
    },
    /// A token was enabled.
    TokenEnabled {
        /// The token's name.
        name: String,
    },
    /// A token was disabled. It is refused until it is enabled again.
    TokenDisabled {
        /// The token's name.
        name: String,
    },
    /// A token was changed.
    TokenSaved {
        /// The token's name.
        name: String,
    },
    /// A person was invited to the workspace.
    Invited {
        /// The person's email address.
        email: String,
    },
    /// A user was added to the workspace.
    MemberAdded {
        /// The user's email address.
        email: String,
    },
    /// An invitation was revoked.
    InvitationRevoked,
    /// The visitor accepted an invitation to a workspace.
    InvitationAccepted {
        /// The workspace's name.
        workspace: String,
    },
    /// The visitor declined an invitation.
    InvitationDeclined,
    /// The older secret of a token was revoked before its grace period was over.
    GraceEnded {
        /// The token's name.
        name: String,
    },
}

impl Notice {
    /// Returns the text that the page shows.
    pub fn text(&self) -> String {
        match self {
            Self::SetUp => "Tessera is set up. You are signed in as the instance owner.".to_owned(),
            Self::SignedOut => "You are signed out.".to_owned(),
            Self::PasswordChanged => {
                "Your password was changed. Your other sessions were signed out.".to_owned()
            }
            Self::PasswordSet => "Your password was set. Sign in with it.".to_owned(),
            Self::PasswordIsWeak => {
                "Your password is too short or too easy to guess. Choose a stronger one from your account menu.".to_owned()
            }
            Self::TokenDeleted { name } => {
                format!("The token “{name}” was deleted. It can never be used again.")
            }
            Self::TokenEnabled { name } => format!("The token “{name}” was enabled."),
            Self::TokenDisabled { name } => {
                format!("The token “{name}” was disabled. It is refused until you enable it again.")
            }
            Self::TokenSaved { name } => format!("The token “{name}” was saved."),
            Self::Invited { email } => {
                format!(
                    "{email} was invited. They can accept after signing in with this address."
                )
            }
            Self::MemberAdded { email } => format!("{email} is now a member."),
            Self::InvitationRevoked => {
                "The invitation was revoked. It can no longer be accepted.".to_owned()
            }
            Self::InvitationAccepted { workspace } => {
                format!("You are now a member of “{workspace}”.")
            }
            Self::InvitationDeclined => "The invitation was declined.".to_owned(),
            Self::GraceEnded { name } => {
                format!("The old secret of “{name}” no longer works. Use the new one.")
            }
        }
    }
}

#[cfg(feature = "ssr")]
impl Notice {
    /// Returns the value of the cookie.
    pub fn to_cookie(&self) -> String {
        use std::fmt::Write;

        let json = serde_json::to_string(self).unwrap_or_default();
        json.bytes().fold(String::with_capacity(json.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Parses the value of the cookie. Returns `None` for values that [`Self::to_cookie`] can't
    /// have written.
    pub fn from_cookie(value: &str) -> Option<Self> {
        if value.len() > 2_048 || !value.is_ascii() || !value.len().is_multiple_of(2) {
            return None;
        }
        let bytes: Option<Vec<u8>> = (0..value.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&value[at..at + 2], 16).ok())
            .collect();
        serde_json::from_slice(&bytes?).ok()
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn notice_survives_its_cookie() {
        let notice = Notice::TokenDeleted { name: "ci; Path=/ “x” 🙂".into() };
        let cookie = notice.to_cookie();
        assert!(cookie.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(Notice::from_cookie(&cookie), Some(notice));
    }

    #[test]
    fn malformed_cookie_is_ignored() {
        for value in ["", "zz", "7b", "é", "7", "+1"] {
            assert_eq!(Notice::from_cookie(value), None, "{value}");
        }
    }
}
