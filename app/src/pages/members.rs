//! The members of a workspace and its invitations, on its settings page.

use domain::{
    roles::{UserKind, WorkspaceRole},
    workspace::{Invitation, Member},
};
use leptos::{either::Either, prelude::*};
use time::OffsetDateTime;

use super::workspaces::role_name;
use crate::{
    components::moment::Moment,
    forms::{Control, EnhancedForm, Field, FieldFrame, FieldName, SubmitButton},
};

/// The fields of the form that invites.
const FIELDS: &[FieldName] = &[
    FieldName::new("user", "E-mail address"),
    FieldName::new("role", "Role"),
    FieldName::new("grants", "Scopes"),
];

/// Who belongs to a workspace.
#[component]
pub fn Members(
    /// The members.
    members: Vec<Member>,
    /// The workspace's name.
    workspace: String,
) -> impl IntoView {
    let count = members.len();
    let rows: Vec<_> = members
        .into_iter()
        .map(|member| {
            let kind = match member.kind {
                UserKind::Person => "Person",
                UserKind::Service => "Service account",
            };
            view! {
                <tr>
                    <th scope="row">{member.user.name}</th>
                    <td data-label="E-mail">{member.user.email}</td>
                    <td data-label="Kind">{kind}</td>
                    <td data-label="Role">{role_name(Some(member.role))}</td>
                </tr>
            }
        })
        .collect();
    let list = if rows.is_empty() {
        Either::Left(view! {
            <p class="pane-body muted">
                "Nobody belongs to this workspace yet. Administrators of this instance manage its tokens."
            </p>
        })
    } else {
        Either::Right(table(
            format!("Members of {workspace}"),
            &["Name", "E-mail", "Kind", "Role"],
            rows.into_any(),
        ))
    };
    view! {
        <section class="pane" aria-labelledby="members-title">
            <header class="pane-head">
                <h2 id="members-title">"Members"</h2>
                <span class="pane-note">{count}</span>
            </header>
            {list}
        </section>
    }
}

/// The invitations of a workspace, with the form that invites.
#[component]
pub fn Invitations(
    /// Those that were not accepted and have not expired.
    invitations: Vec<Invitation>,
    /// The path of the workspace's settings, which the form posts to.
    settings: String,
    /// Whether the visitor adds users at once, instead of inviting them.
    adds_at_once: bool,
    /// The server's clock.
    now: OffsetDateTime,
) -> impl IntoView {
    let (title, note) = if adds_at_once {
        ("Add a member", "You manage the instance: a user who exists becomes a member at once.")
    } else {
        (
            "Invite a person",
            "Tessera sends no e-mail. Tell the person to sign in with this address and accept within seven days.",
        )
    };
    let list = (!invitations.is_empty()).then(|| {
        let rows = invitations
            .into_iter()
            .map(|invitation| row(invitation, &settings, now))
            .collect_view()
            .into_any();
        table("Open invitations".to_owned(), &["E-mail", "Role", "Invited by", "Expires", ""], rows)
    });
    view! {
        <section class="pane" aria-labelledby="invite-title">
            <header class="pane-head">
                <h2 id="invite-title">{title}</h2>
            </header>
            <div class="pane-body">
                <EnhancedForm action=settings.clone() class="form invite-form" fields=FIELDS button=title>
                    <Field name="user" label="E-mail address" kind="email" help=note.to_owned()
                        autocomplete="off" required=true/>
                    <RoleField/>
                    <Field name="grants" label="Scopes that they may put on tokens" optional=true
                        help="Patterns such as rivers:*, separated by spaces. Empty is what the role gives.".to_owned()/>
                    <div class="form-actions"><SubmitButton>{title}</SubmitButton></div>
                </EnhancedForm>
            </div>
            {list}
        </section>
    }
}

#[component]
fn RoleField() -> impl IntoView {
    let control = Control::new("role", "role", false);
    let Control { id, name, described_by, invalid, value, .. } = control.clone();
    let chosen = value.unwrap_or_else(|| WorkspaceRole::Member.as_str().to_owned());
    let options = [
        WorkspaceRole::Member,
        WorkspaceRole::Viewer,
        WorkspaceRole::Verifier,
        WorkspaceRole::Admin,
    ]
    .map(|role| {
        let value = role.as_str();
        view! { <option value=value selected=value == chosen>{role_name(Some(role))}</option> }
    })
    .collect_view();
    view! {
        <FieldFrame control label="Role" help=None>
            <select class="select" id=id name=name aria-describedby=described_by
                aria-invalid=invalid>
                {options}
            </select>
        </FieldFrame>
    }
}

fn row(invitation: Invitation, settings: &str, now: OffsetDateTime) -> impl IntoView + use<> {
    let action = format!("{settings}/invitations/{}/revoke", invitation.id);
    let about = format!(" the invitation of {}", invitation.email);
    view! {
        <tr>
            <th scope="row">{invitation.email}</th>
            <td data-label="Role">{role_name(Some(invitation.role))}</td>
            <td data-label="Invited by">{invitation.invited_by.name}</td>
            <td data-label="Expires"><Moment at=invitation.expires_at now/></td>
            <td>
                <form method="post" action=action>
                    <button class="button button-small">
                        "Revoke"<span class="visually-hidden">{about}</span>
                    </button>
                </form>
            </td>
        </tr>
    }
}

fn table(caption: String, columns: &[&'static str], rows: AnyView) -> impl IntoView + use<> {
    let columns = columns
        .iter()
        .map(|column| match *column {
            "" => Either::Left(view! { <td></td> }),
            column => Either::Right(view! { <th scope="col">{column}</th> }),
        })
        .collect_view();
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="visually-hidden">{caption}</caption>
                <thead>
                    <tr>{columns}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
