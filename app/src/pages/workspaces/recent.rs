//! The latest events of a workspace.

use domain::audit::AuditEvent;
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

/// Describes an action for people. An unknown action is shown by its name.
fn tell(action: &str) -> Told {
    let (glyph, verb, object) = match action {
        "token.create" => (Glyph::Plus, "created", Object::Token),
        "token.delete" => (Glyph::Trash, "deleted", Object::Token),
        "token.update" => (Glyph::Edit, "changed", Object::Token),
        "token.enable" => (Glyph::Play, "enabled", Object::Token),
        "token.disable" => (Glyph::Pause, "disabled", Object::Token),
        "token.expire" => (Glyph::Expired, "expired", Object::Token),
        "token.rotate" => (Glyph::Rotate, "rotated", Object::Token),
        "token.grace_end" => (Glyph::Clock, "revoked the old secret of", Object::Token),
        "token.reveal" => (Glyph::Eye, "viewed the secret of", Object::Token),
        "token.reuse" => (Glyph::Warning, "reported a replaced secret of", Object::Token),
        "token.import" => (Glyph::Plus, "imported", Object::Token),
        "member.add" => (Glyph::User, "added the member", Object::Other),
        "member.change" => (Glyph::User, "changed the member", Object::Other),
        "member.remove" => (Glyph::User, "removed the member", Object::Other),
        "invitation.create" => (Glyph::User, "invited", Object::Other),
        "invitation.revoke" => (Glyph::User, "revoked the invitation for", Object::Other),
        "invitation.accept" => (Glyph::User, "accepted the invitation for", Object::Other),
        "invitation.decline" => (Glyph::User, "declined the invitation for", Object::Other),
        "policy.change" => (Glyph::Settings, "changed the policy of", Object::Workspace),
        "workspace.create" => (Glyph::Plus, "created", Object::Workspace),
        "workspace.rename" => (Glyph::Edit, "renamed", Object::Workspace),
        "catalogue.load" => (Glyph::Doc, "changed the scopes of", Object::Audience),
        "session.sign_in" => (Glyph::User, "signed in", Object::Nothing),
        "session.sign_out" => (Glyph::SignOut, "signed out", Object::Nothing),
        "session.sign_in_failed" => (Glyph::Warning, "failed to sign in as", Object::Other),
        "session.sign_in_throttled" => {
            (Glyph::Warning, "made too many attempts to sign in as", Object::Other)
        }
        "access.refused" => (Glyph::Warning, "was refused", Object::Other),
        "access.credential_refused" => {
            (Glyph::Warning, "sent a token that was refused:", Object::Other)
        }
        "access.throttled" => (Glyph::Warning, "made too many requests:", Object::Other),
        "access.left_out" => {
            (Glyph::Info, "had more requests refused than the log lists:", Object::Other)
        }
        "instance.set_up" => (Glyph::Settings, "set up", Object::Other),
        "user.create" => (Glyph::User, "created the user", Object::Other),
        _ => (Glyph::Info, action, Object::Other),
    };
    Told { glyph, verb: verb.to_owned(), object }
}
