//! The latest events of a workspace.

use domain::{audit::AuditEvent, audit_action::AuditAction};
use leptos::{either::Either, prelude::*};
use time::OffsetDateTime;

use crate::components::{
    icon::{Glyph, Icon},
    moment::Moment,
};

/// The latest events of the audit log.
#[component]
pub fn Recent(
    /// The events, newest first.
    events: Vec<AuditEvent>,
    /// The server's clock.
    now: OffsetDateTime,
) -> impl IntoView {
    let inside = if events.is_empty() {
        Either::Left(view! { <p class="pane-body muted">"No activity yet."</p> })
    } else {
        let items = events.into_iter().map(|event| view! { <Event event now/> }).collect_view();
        Either::Right(view! { <ul class="events">{items}</ul> })
    };
    view! {
        <section class="pane" aria-labelledby="events-title">
            <header class="pane-head">
                <h2 id="events-title">"Recent activity"</h2>
            </header>
            {inside}
        </section>
    }
}

#[component]
fn Event(event: AuditEvent, now: OffsetDateTime) -> impl IntoView {
    let Told { glyph, verb, object } = tell(&event.action);
    let subject = (object != Object::Nothing).then(|| {
        view! {
            {object.words()}
            <strong>{event.subject}</strong>
        }
    });
    view! {
        <li class="event">
            <Icon glyph/>
            <p class="event-text">
                <strong>{event.actor}</strong>
                {format!(" {verb}")}
                {subject}
            </p>
            <Moment at=event.at now/>
        </li>
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    glyph: Glyph,
    verb: String,
    object: Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Nothing,
    Token,
    Workspace,
    Audience,
    Other,
}

impl Object {
    const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Token => " the token ",
            Self::Workspace => " the workspace ",
            Self::Audience => " the audience ",
            Self::Other => " ",
        }
    }
}

/// Describes an action for people. An action of another version is shown by its name.
fn tell(action: &str) -> Told {
    let (glyph, verb, object) = match action.parse() {
        Ok(known) => describe(known),
        Err(_) => (Glyph::Info, action, Object::Other),
    };
    Told { glyph, verb: verb.to_owned(), object }
}

fn describe(action: AuditAction) -> (Glyph, &'static str, Object) {
    use AuditAction as Action;
    match action {
        Action::TokenCreate => (Glyph::Plus, "created", Object::Token),
        Action::TokenDelete => (Glyph::Trash, "deleted", Object::Token),
        Action::TokenUpdate => (Glyph::Edit, "changed", Object::Token),
        Action::TokenEnable => (Glyph::Play, "enabled", Object::Token),
        Action::TokenDisable => (Glyph::Pause, "disabled", Object::Token),
        Action::TokenExpire => (Glyph::Expired, "expired", Object::Token),
        Action::TokenRotate => (Glyph::Rotate, "rotated", Object::Token),
        Action::TokenGraceEnd => (Glyph::Clock, "revoked the old secret of", Object::Token),
        Action::TokenReveal => (Glyph::Eye, "viewed the secret of", Object::Token),
        Action::TokenReuse => (Glyph::Warning, "reported a replaced secret of", Object::Token),
        Action::TokenImport => (Glyph::Plus, "imported", Object::Token),
        Action::TokenImportRefused => {
            (Glyph::Warning, "tried to import a token of another workspace into", Object::Workspace)
        }
        Action::MemberAdd => (Glyph::User, "added the member", Object::Other),
        Action::MemberChange => (Glyph::User, "changed the member", Object::Other),
        Action::MemberRemove => (Glyph::User, "removed the member", Object::Other),
        Action::InvitationCreate => (Glyph::User, "invited", Object::Other),
        Action::InvitationRevoke => (Glyph::User, "revoked the invitation for", Object::Other),
        Action::InvitationAccept => (Glyph::User, "accepted the invitation for", Object::Other),
        Action::InvitationDecline => (Glyph::User, "declined the invitation for", Object::Other),
        Action::PolicyChange => (Glyph::Settings, "changed the policy of", Object::Workspace),
        Action::WorkspaceCreate => (Glyph::Plus, "created", Object::Workspace),
        Action::WorkspaceRename => (Glyph::Edit, "renamed", Object::Workspace),
        Action::CatalogueLoad => (Glyph::Doc, "changed the scopes of", Object::Audience),
        Action::SessionSignIn => (Glyph::User, "signed in", Object::Nothing),
        Action::SessionSignOut => (Glyph::SignOut, "signed out", Object::Nothing),
        Action::SessionSignInFailed => (Glyph::Warning, "failed to sign in as", Object::Other),
        Action::SessionSignInThrottled => {
            (Glyph::Warning, "made too many attempts to sign in as", Object::Other)
        }
        Action::AccessRefused => (Glyph::Warning, "was refused", Object::Other),
        Action::AccessCredentialRefused => {
            (Glyph::Warning, "sent a token that was refused:", Object::Other)
        }
        Action::AccessThrottled => (Glyph::Warning, "made too many requests:", Object::Other),
        Action::AccessLeftOut => {
            (Glyph::Info, "had more requests refused than the log lists:", Object::Other)
        }
        Action::InstanceSetUp => (Glyph::Settings, "set up", Object::Other),
        Action::UserCreate => (Glyph::User, "created the user", Object::Other),
        // Their rows are in the instance's log, which the console doesn't show yet.
        Action::UserChange
        | Action::UserRemove
        | Action::UserPasswordChange
        | Action::UserPasswordEnd
        | Action::UserPasswordLink
        | Action::UserPasswordReset
        | Action::UserPasswordResetRefused
        | Action::SessionEnd
        | Action::AudienceCreate
        | Action::AudienceUpdate
        | Action::AudienceDelete
        | Action::ScopeCreate
        | Action::ScopeUpdate
        | Action::ScopeDelete
        | Action::ScopeRetire
        | Action::ScopeUnretire => (Glyph::Info, action.as_str(), Object::Other),
    }
}
