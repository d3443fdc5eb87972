//! The actions that audit rows name.
//!
//! The names are public: the database, the API, exports and filters use them. A name never changes,
//! and a removed action's name is never used again.
//!
//! Rows of other versions may name actions that this version doesn't know, so rows that are read
//! keep the name as text.
//!
//! To add an action, add it to the enum, to [`AuditAction::effect`] and to the list in the tests.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The error for a name that this version doesn't know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an audit action")]
pub struct UnknownAction(pub String);

/// The effect of an action on what existing tokens may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It may take something away from tokens, so it is only complete when every server has
    /// applied it.
    Narrows,
    /// It takes nothing away from tokens, and may let them do more.
    Widens,
    /// Tokens may do the same as before.
    Neutral,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// An action that an audit row records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum AuditAction {
            $($(#[$doc])* #[serde(rename = $text)] $variant),+
        }

        impl AuditAction {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the action's name in the API and the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for AuditAction {
            type Err = UnknownAction;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(UnknownAction(other.to_owned())),
                }
            }
        }
    };
}

actions! {
    /// The instance was set up.
    InstanceSetUp = "instance.set_up",
    /// A workspace was created.
    WorkspaceCreate = "workspace.create",
    /// A workspace got another name.
    WorkspaceRename = "workspace.rename",
    /// A user was added to a workspace.
    MemberAdd = "member.add",
    /// A member got another role or other grants.
    MemberChange = "member.change",
    /// A member was removed from a workspace.
    MemberRemove = "member.remove",
    /// A person was invited to a workspace.
    InvitationCreate = "invitation.create",
    /// An invitation was withdrawn.
    InvitationRevoke = "invitation.revoke",
    /// The invited person joined the workspace.
    InvitationAccept = "invitation.accept",
    /// The invited person declined.
    InvitationDecline = "invitation.decline",
    /// The policy of a workspace or of the instance was changed.
    PolicyChange = "policy.change",
    /// A user was created.
    UserCreate = "user.create",
    /// A user was changed.
    UserChange = "user.change",
    /// A user was removed.
    UserRemove = "user.remove",
    /// A person changed their password.
    UserPasswordChange = "user.password_change",
    /// A person's password expired because the user who set it may no longer do so.
    UserPasswordEnd = "user.password_end",
    /// A one-time link to set a password was created.
    UserPasswordLink = "user.password_link",
    /// A person set a password with a one-time link.
    UserPasswordReset = "user.password_reset",
    /// A caller with a one-time link entered the person's current password as the new one.
    UserPasswordResetRefused = "user.password_reset_refused",
    /// A person signed in.
    SessionSignIn = "session.sign_in",
    /// A person signed out.
    SessionSignOut = "session.sign_out",
    /// Sessions of a person were ended.
    SessionEnd = "session.end",
    /// A password was wrong, or the account doesn't exist.
    SessionSignInFailed = "session.sign_in_failed",
    /// An attempt to sign in or to use a link was refused because there were too many.
    SessionSignInThrottled = "session.sign_in_throttled",
    /// An audience was created.
    AudienceCreate = "audience.create",
    /// The name or the description of an audience was changed.
    AudienceUpdate = "audience.update",
    /// An audience was deleted.
    AudienceDelete = "audience.delete",
    /// A scope was added to an audience.
    ScopeCreate = "scope.create",
    /// A scope was changed.
    ScopeUpdate = "scope.update",
    /// A scope was deleted.
    ScopeDelete = "scope.delete",
    /// A scope was retired.
    ScopeRetire = "scope.retire",
    /// A retired scope was taken into use again.
    ScopeUnretire = "scope.unretire",
    /// The scopes of an audience were replaced by those of a file.
    CatalogueLoad = "catalogue.load",
    /// A token was created.
    TokenCreate = "token.create",
    /// A token of another system was imported.
    TokenImport = "token.import",
    /// An import was refused because it named a secret of another workspace's token.
    TokenImportRefused = "token.import_refused",
    /// A token's record was changed.
    TokenUpdate = "token.update",
    /// A token was enabled.
    TokenEnable = "token.enable",
    /// A token was disabled.
    TokenDisable = "token.disable",
    /// A token was expired.
    TokenExpire = "token.expire",
    /// A token got a new secret.
    TokenRotate = "token.rotate",
    /// The replaced secret of a token stopped working before its grace was over.
    TokenGraceEnd = "token.grace_end",
    /// The secret of a token was shown again.
    TokenReveal = "token.reveal",
    /// A replaced secret was presented after it expired.
    TokenReuse = "token.reuse",
    /// A token was deleted.
    TokenDelete = "token.delete",
    /// A request was refused because the caller may not make it.
    AccessRefused = "access.refused",
    /// A presented token or link was not accepted.
    AccessCredentialRefused = "access.credential_refused",
    /// A request was refused because the caller exceeded its rate limit.
    AccessThrottled = "access.throttled",
    /// The number of refusals that the log doesn't list.
    AccessLeftOut = "access.left_out",
}

impl AuditAction {
    /// Returns the effect of this action on what existing tokens may do. If the effect depends on
    /// the change, returns [`Effect::Narrows`].
    pub const fn effect(self) -> Effect {
        match self {
            Self::MemberChange
            | Self::MemberRemove
            | Self::PolicyChange
            | Self::UserChange
            | Self::UserRemove
            | Self::AudienceDelete
            | Self::ScopeCreate
            | Self::ScopeUpdate
            | Self::ScopeDelete
            | Self::ScopeRetire
            | Self::ScopeUnretire
            | Self::CatalogueLoad
            | Self::TokenUpdate
            | Self::TokenDisable
            | Self::TokenExpire
            | Self::TokenRotate
            | Self::TokenGraceEnd
            | Self::TokenReuse
            | Self::TokenDelete => Effect::Narrows,
            Self::MemberAdd | Self::InvitationAccept | Self::TokenEnable => Effect::Widens,
            Self::InstanceSetUp
            | Self::WorkspaceCreate
            | Self::WorkspaceRename
            | Self::InvitationCreate
            | Self::InvitationRevoke
            | Self::InvitationDecline
            | Self::UserCreate
            | Self::UserPasswordChange
            | Self::UserPasswordEnd
            | Self::UserPasswordLink
            | Self::UserPasswordReset
            | Self::UserPasswordResetRefused
            | Self::SessionSignIn
            | Self::SessionSignOut
            | Self::SessionEnd
            | Self::SessionSignInFailed
            | Self::SessionSignInThrottled
            | Self::AudienceCreate
            | Self::AudienceUpdate
            | Self::TokenCreate
            | Self::TokenImport
            | Self::TokenImportRefused
            | Self::TokenReveal
            | Self::AccessRefused
            | Self::AccessCredentialRefused
            | Self::AccessThrottled
            | Self::AccessLeftOut => Effect::Neutral,
        }
    }
}

impl std::fmt::Display for AuditAction {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The names that are in databases, exports and filters. A name may be added, but none may be
    /// changed or removed.
    const PUBLIC: [&str; 49] = [
        "instance.set_up",
        "workspace.create",
        "workspace.rename",
        "member.add",
        "member.change",
        "member.remove",
        "invitation.create",
        "invitation.revoke",
        "invitation.accept",
        "invitation.decline",
        "policy.change",
        "user.create",
        "user.change",
        "user.remove",
        "user.password_change",
        "user.password_end",
        "user.password_link",
        "user.password_reset",
        "user.password_reset_refused",
        "session.sign_in",
        "session.sign_out",
        "session.end",
        "session.sign_in_failed",
        "session.sign_in_throttled",
        "audience.create",
        "audience.update",
        "audience.delete",
        "scope.create",
        "scope.update",
        "scope.delete",
        "scope.retire",
        "scope.unretire",
        "catalogue.load",
        "token.create",
        "token.import",
        "token.import_refused",
        "token.update",
        "token.enable",
        "token.disable",
        "token.expire",
        "token.rotate",
        "token.grace_end",
        "token.reveal",
        "token.reuse",
        "token.delete",
        "access.refused",
        "access.credential_refused",
        "access.throttled",
        "access.left_out",
    ];

    #[test]
    fn names_are_the_public_ones() {
        let names: Vec<&str> = AuditAction::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(names, PUBLIC);
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn every_action_survives_its_name() {
        for action in AuditAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
            assert_eq!(action.to_string(), action.as_str());
            let json = serde_json::to_string(action).unwrap();
            assert_eq!(json, format!("\"{action}\""));
            assert_eq!(serde_json::from_str::<AuditAction>(&json).unwrap(), *action);
        }
    }

    #[test]
    fn names_have_the_form_that_the_database_requires() {
        for action in AuditAction::ALL {
            let (noun, verb) = action.as_str().split_once('.').unwrap();
            for part in [noun, verb] {
                let letters = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                assert!(!part.is_empty() && part.bytes().all(letters), "{action}");
            }
        }
    }

    #[test]
    fn only_listed_actions_take_nothing_from_tokens_and_may_give_more() {
        let widening: Vec<&str> = AuditAction::ALL
            .iter()
            .filter(|action| action.effect() == Effect::Widens)
            .map(|action| action.as_str())
            .collect();
        assert_eq!(widening, ["member.add", "invitation.accept", "token.enable"]);
    }

    proptest! {
        #[test]
        fn other_names_are_unknown(name in "[a-z_.]{0,20}|token\\.[a-z_]{1,10}") {
            let parsed = name.parse::<AuditAction>();
            prop_assert_eq!(parsed.is_ok(), PUBLIC.contains(&name.as_str()));
            if let Err(error) = parsed {
                prop_assert_eq!(error, UnknownAction(name));
            }
        }
    }
}
