//! The members of a workspace and its invitations.

use domain::{roles::WorkspaceRole, workspace::Invitation};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::member_list::MemberList;
use crate::{
    components::{heading::PageHead, loaded::Loaded, moment::Moment},
    fns::invitations::{MembersView, load_members},
    forms::{Control, EnhancedForm, Field, FieldFrame, FieldName, SubmitButton},
    pages::workspaces::{list::role_name, show::use_workspace_slug},
};

/// The fields of the invitation form.
const FIELDS: &[FieldName] = &[
    FieldName::new("user", "E-mail address"),
    FieldName::new("role", "Role"),
    FieldName::new("grants", "Scopes"),
];

/// The members of a workspace and its invitations, for visitors who may manage them.
#[component]
pub fn MembersPage() -> impl IntoView {
    let slug = use_workspace_slug();
    let members = Resource::new(move || slug.get(), load_members);
    let view = |view: MembersView| view! { <Everybody view/> };
    view! { <Loaded resource=members view/> }
}

#[component]
fn Everybody(view: MembersView) -> impl IntoView {
    let MembersView { workspace, members, invitations, adds_at_once, now } = view;
    let name = workspace.name.to_string();
    let page = format!("/workspaces/{}/settings/members", workspace.slug);
    let lead = view! {
        {name.clone()}
        " "
        <code>{workspace.slug.to_string()}</code>
    }
    .into_any();
    view! {
        <PageHead title="Members" lead/>
        <Invite page=page.clone() adds_at_once/>
        <Invitations invitations page now/>
        <MemberList members workspace=name manage=None/>
    }
}

/// The form that invites a person, or adds a user directly.
#[component]
fn Invite(
    /// The path of the page, to which the form posts.
    page: String,
    /// Whether the visitor adds users directly, instead of inviting them.
    adds_at_once: bool,
) -> impl IntoView {
    let (title, note) = if adds_at_once {
        (
            "Add a member",
            "As an instance administrator, you add existing users directly, without an invitation.",
        )
    } else {
        (
            "Invite a person",
            "Tessera doesn't send e-mail. Ask the person to sign in with this address and accept within seven days.",
        )
    };
    view! {
        <section class="pane" aria-labelledby="invite-title">
            <header class="pane-head">
                <h2 id="invite-title">{title}</h2>
            </header>
            <div class="pane-body">
                <EnhancedForm action=page class="form invite-form" fields=FIELDS button=title>
                    <Field name="user" label="E-mail address" kind="email" help=note
                        autocomplete="off" required=true/>
                    <RoleField/>
                    <Field name="grants" label="Scopes for their tokens" optional=true
                        help="Patterns such as rivers:*, separated by spaces. Leave empty to use the scopes of the role."/>
                    <div class="form-actions"><SubmitButton>{title}</SubmitButton></div>
                </EnhancedForm>
            </div>
        </section>
    }
}

/// The invitations that are neither accepted nor expired.
#[component]
fn Invitations(
    /// The invitations.
    invitations: Vec<Invitation>,
    /// The path of the page.
    page: String,
    /// The server's clock.
    now: OffsetDateTime,
) -> impl IntoView {
    let count = invitations.len();
    (count > 0).then(|| {
        let rows =
            invitations.into_iter().map(|invitation| row(invitation, &page, now)).collect_view();
        view! {
            <section class="pane" aria-labelledby="invitations-title">
                <header class="pane-head">
                    <h2 id="invitations-title">"Open invitations"</h2>
                    <span class="pane-note">{count}</span>
                </header>
                <div class="table-wrap">
                    <table class="table">
                        <caption class="visually-hidden">"Open invitations"</caption>
                        <thead>
                            <tr>
                                <th scope="col">"E-mail"</th>
                                <th scope="col">"Role"</th>
                                <th scope="col">"Scopes"</th>
                                <th scope="col">"Invited by"</th>
                                <th scope="col">"Expires"</th>
                                <th scope="col"><span class="visually-hidden">"Actions"</span></th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </section>
        }
    })
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

fn row(invitation: Invitation, page: &str, now: OffsetDateTime) -> impl IntoView + use<> {
    let action = format!("{page}/{}/revoke", invitation.id);
    let grants = match &invitation.grants {
        None => "From role".to_owned(),
        Some(patterns) if patterns.is_empty() => "None".to_owned(),
        Some(patterns) => patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let about = format!(" the invitation of {}", invitation.email);
    let inviter = match invitation.token {
        None => invitation.invited_by.name,
        Some(token) => {
            let made_by =
                token.made_by.map_or_else(|| "the command line".to_owned(), |maker| maker.name);
            format!("{made_by} (token “{}”)", token.name)
        }
    };
    view! {
        <tr>
            <th scope="row">{invitation.email}</th>
            <td data-label="Role">{role_name(Some(invitation.role))}</td>
            <td data-label="Scopes">{grants}</td>
            <td data-label="Invited by">{inviter}</td>
            <td data-label="Expires"><Moment at=invitation.expires_at now/></td>
            <td class="row-actions">
                <form method="post" action=action>
                    <button class="button button-small">
                        "Revoke"<span class="visually-hidden">{about}</span>
                    </button>
                </form>
            </td>
        </tr>
    }
}
