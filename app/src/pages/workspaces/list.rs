//! The list of workspaces.

use domain::{access::TokenReach, roles::WorkspaceRole, workspace::WorkspaceCard};
use leptos::{either::Either, prelude::*};

use crate::{
    components::{
        empty::Empty,
        heading::PageHead,
        icon::{Glyph, Icon},
        loaded::Loaded,
    },
    fns::workspaces::{Home, load_workspaces},
    pages::sidebar::initials,
};

/// The workspaces that the visitor can see.
#[component]
pub fn WorkspacesPage() -> impl IntoView {
    let workspaces = Resource::new(|| (), |()| load_workspaces());
    let lead = "Each workspace has its own members, rules and tokens.".into_any();
    view! {
        <PageHead title="Workspaces" lead/>
        <Loaded resource=workspaces view=home/>
    }
}

fn home(home: Home) -> impl IntoView {
    let invited = (home.invitations > 0).then(|| {
        let text = match home.invitations {
            1 => "You have an invitation to a workspace.".to_owned(),
            count => format!("You have invitations to {count} workspaces."),
        };
        view! {
            <p class="notice notice-info">
                <Icon glyph=Glyph::Info/>
                <span>{text}" "<a href="/invitations" rel="external">"Invitations"</a></span>
            </p>
        }
    });
    view! {
        {invited}
        {cards(home.workspaces)}
    }
}

fn cards(cards: Vec<WorkspaceCard>) -> impl IntoView {
    if cards.is_empty() {
        return Either::Left(view! {
            <Empty title="You aren't a member of any workspace yet">
                <p>"Ask an administrator of a workspace to invite you."</p>
            </Empty>
        });
    }
    let cards = cards.into_iter().map(|card| view! { <Card card/> }).collect_view();
    Either::Right(view! { <ul class="cards">{cards}</ul> })
}

#[component]
fn Card(card: WorkspaceCard) -> impl IntoView {
    let workspace = card.workspace;
    let name = workspace.name.to_string();
    let counts = (card.reach != TokenReach::None).then(|| {
        let own = card.reach == TokenReach::Own;
        view! {
            <dl class="stats">
                <div>
                    <dt>{if own { "Your active tokens" } else { "Active tokens" }}</dt>
                    <dd>{card.counts.active}</dd>
                </div>
                <div class:stat-warning=card.counts.expiring != 0>
                    <dt>"Expiring soon"</dt>
                    <dd>{card.counts.expiring}</dd>
                </div>
            </dl>
        }
    });
    view! {
        <li class="card workspace-card">
            <div class="card-head">
                <span class="ws-tile ws-tile-large" aria-hidden="true">{initials(&name)}</span>
                <div>
                    <h2 class="card-title">
                        <a class="card-link" href=format!("/workspaces/{}", workspace.slug)>
                            {name}
                        </a>
                    </h2>
                    <code class="card-slug">{workspace.slug.to_string()}</code>
                </div>
                <span class="chip">{role_name(card.role)}</span>
            </div>
            {counts}
        </li>
    }
}

/// Returns a role's display name. `None` stands for an administrator of the instance who is not
/// a member.
pub fn role_name(role: Option<WorkspaceRole>) -> &'static str {
    match role {
        Some(WorkspaceRole::Admin) => "Administrator",
        Some(WorkspaceRole::Member) => "Member",
        Some(WorkspaceRole::Viewer) => "Viewer",
        Some(WorkspaceRole::Verifier) => "Verifier",
        None => "Instance administrator",
    }
}
