//! The invitations of the signed-in user.

use domain::{
    token::UserSummary,
    workspace::{Invitation, InvitingToken},
};
use leptos::{either::Either, prelude::*};
use time::OffsetDateTime;

use crate::{
    components::{empty::Empty, heading::PageHead, loaded::Loaded, moment::Moment},
    fns::invitations::{OwnInvitations, load_invitations},
    pages::{sidebar::initials, workspaces::list::role_name},
};

/// The invitations of the signed-in user.
#[component]
pub fn InvitationsPage() -> impl IntoView {
    let invitations = Resource::new(|| (), |()| load_invitations());
    let lead =
        "Workspaces you can join. No one can create tokens that act as you until you accept.";
    view! {
        <PageHead title="Invitations" lead=lead.into_any()/>
        <Loaded resource=invitations view=list/>
    }
}

fn list(own: OwnInvitations) -> impl IntoView {
    let OwnInvitations { invitations, now } = own;
    if invitations.is_empty() {
        return Either::Left(view! {
            <Empty title="No open invitations">
                <p>
                    "Invitations expire after seven days. Ask an administrator of the workspace to invite you again."
                </p>
                <p><a class="button" href="/workspaces">"Go to workspaces"</a></p>
            </Empty>
        });
    }
    let cards = invitations.into_iter().map(|invitation| card(invitation, now)).collect_view();
    Either::Right(view! { <ul class="cards">{cards}</ul> })
}

/// Names the inviter. For an invitation sent through a token, it names the token's creator, who
/// invites, and the user whom the token acts as.
fn inviter(invited_by: UserSummary, token: Option<InvitingToken>) -> impl IntoView {
    let Some(InvitingToken { name, made_by, .. }) = token else {
        return Either::Left(view! {
            <bdi>{invited_by.name}</bdi>" ("{invited_by.email}") invited you."
        });
    };
    let made_by = made_by.map_or_else(
        || Either::Left("a server operator"),
        |maker| Either::Right(view! { <bdi>{maker.name}</bdi>" ("{maker.email}")" }),
    );
    Either::Right(view! {
        "The token “"<bdi>{name}</bdi>"”, created by "{made_by}", invited you. It acts as "
        <bdi>{invited_by.name}</bdi>" ("{invited_by.email}")."
    })
}

fn card(invitation: Invitation, now: OffsetDateTime) -> impl IntoView {
    let name = invitation.workspace_name.to_string();
    let answer = |what: &str| format!("/invitations/{}/{what}", invitation.id);
    let button = |action: String, class: &'static str, label: &'static str| {
        let about = format!(" the invitation to {name}");
        view! {
            <form method="post" action=action>
                <button class=class>{label}<span class="visually-hidden">{about}</span></button>
            </form>
        }
    };
    let accept = button(answer("accept"), "button button-primary", "Accept");
    let decline = button(answer("decline"), "button", "Decline");
    view! {
        <li class="card">
            <div class="card-head">
                <span class="ws-tile ws-tile-large" aria-hidden="true">{initials(&name)}</span>
                <div>
                    <h2 class="card-title">{name.clone()}</h2>
                    <code class="card-slug">{invitation.workspace.to_string()}</code>
                </div>
                <span class="chip">{role_name(Some(invitation.role))}</span>
            </div>
            <p class="card-text">
                {inviter(invitation.invited_by, invitation.token)}" Expires "
                <Moment at=invitation.expires_at now/>"."
            </p>
            <div class="card-actions">{accept}{decline}</div>
        </li>
    }
}
