//! The list of a workspace's members, shown by the settings page and the members page.

use domain::{roles::UserKind, workspace::Member};
use leptos::{either::Either, prelude::*};

use crate::pages::workspaces::list::role_name;

/// The list of a workspace's members.
#[component]
pub fn MemberList(
    /// The members.
    members: Vec<Member>,
    /// The workspace's name.
    workspace: String,
    /// The path of the members page. `None` on that page itself, and for visitors who may
    /// not invite.
    manage: Option<String>,
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
                "This workspace has no members yet. Instance administrators manage its tokens."
            </p>
        })
    } else {
        Either::Right(view! {
            <div class="table-wrap">
                <table class="table">
                    <caption class="visually-hidden">{format!("Members of {workspace}")}</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"E-mail"</th>
                            <th scope="col">"Kind"</th>
                            <th scope="col">"Role"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        })
    };
    view! {
        <section class="pane" aria-labelledby="members-title">
            <header class="pane-head">
                <h2 id="members-title">"Members"</h2>
                <span class="pane-note">{count}</span>
            </header>
            {list}
            {manage.map(|href| view! {
                <p class="pane-body"><a href=href rel="external">"Invite people"</a></p>
            })}
        </section>
    }
}
