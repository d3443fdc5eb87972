//! The one line that greets somebody after a form led them to another page.
//!
//! The door puts it into a cookie with the redirect; the next page shows it and the answer clears
//! the cookie. Its texts are written here: a cookie can only choose among them.

use serde::{Deserialize, Serialize};

/// The cookie's name.
pub const COOKIE: &str = "notice";

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The instance was set up.
    SetUp,
    /// The session was ended.
    SignedOut,
    /// One's own password was changed.
    PasswordChanged,
    /// A password was set by a link.
    PasswordSet,
    /// The password that signed in is below the rule for new ones.
    PasswordIsWeak,
    /// A token was deleted.
    TokenDeleted {
        /// Its name.
        name: String,
    },
    /// A token works again.
    TokenEnabled {
        /// Its name.
        name: String,
    },
    /// A token is refused until it is enabled.
    TokenDisabled {
        /// Its name.
        name: String,
    },
    /// A token was changed.
    TokenSaved {
        /// Its name.
        name: String,
    },
    /// A person is invited to the workspace.
    Invited {
        /// Their address.
        email: String,
    },
    /// A user is a member of the workspace.
    MemberAdded {
        /// Their address.
        email: String,
    },
    /// An invitation was revoked.
    InvitationRevoked,
    /// The visitor is a member of a workspace.
    InvitationAccepted {
        /// The workspace's name.
        workspace: String,
    },
    /// The visitor declined an invitation.
    InvitationDeclined,
    /// The older secret of a token was ended.
    GraceEnded {
        /// Its name.
        name: String,
    },
}

impl Notice {
    /// What the page says.
    pub fn text(&self) -> String {
        match self {
            Self::SetUp => "Tessera is set up. You are signed in as its owner.".to_owned(),
            Self::SignedOut => "You are signed out.".to_owned(),
            Self::PasswordChanged => {
                "Your password is changed. Your other sessions have ended.".to_owned()
            }
            Self::PasswordSet => "Your password is set. Sign in with it.".to_owned(),
            Self::PasswordIsWeak => {
                "Your password is too short or too easy to guess for a new one. Change it in your account menu.".to_owned()
            }
            Self::TokenDeleted { name } => {
                format!("The token “{name}” is deleted. It can never be used again.")
            }
            Self::TokenEnabled { name } => format!("The token “{name}” is enabled."),
            Self::TokenDisabled { name } => {
                format!("The token “{name}” is disabled. It is refused until it is enabled again.")
            }
            Self::TokenSaved { name } => format!("The token “{name}” is saved."),
            Self::Invited { email } => {
                format!(
                    "{email} is invited. The person accepts after signing in with this address."
                )
            }
            Self::MemberAdded { email } => format!("{email} is a member now."),
            Self::InvitationRevoked => {
                "The invitation is revoked. Nobody can accept it any more.".to_owned()
            }
            Self::InvitationAccepted { workspace } => {
                format!("You are a member of “{workspace}” now.")
            }
            Self::InvitationDeclined => "The invitation is declined.".to_owned(),
            Self::GraceEnded { name } => {
                format!("The older secret of “{name}” has ended. Only the newer one works.")
            }
        }
    }
}

#[cfg(feature = "ssr")]
impl Notice {
    /// The cookie's value.
    pub fn to_cookie(&self) -> String {
        use std::fmt::Write;

        let json = serde_json::to_string(self).unwrap_or_default();
        json.bytes().fold(String::with_capacity(json.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Reads a cookie's value; whatever is not of our writing is nothing.
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
    fn cookie_of_other_writing_is_nothing() {
        for value in ["", "zz", "7b", "é", "7", "+1"] {
            assert_eq!(Notice::from_cookie(value), None, "{value}");
        }
    }
}
