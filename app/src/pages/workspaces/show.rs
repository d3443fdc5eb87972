//! The overview of one workspace.

use domain::{
    access::TokenReach,
    workspace::{TokenCounts, WorkspaceOverview},
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{first_steps::FirstSteps, recent::Recent};
use crate::{
    components::{
        heading::PageHead,
        icon::{Glyph, Icon},
        loaded::Loaded,
    },
    fns::overview::{Glance, load_overview},
};

/// Returns the slug in the page's path.
pub fn use_workspace_slug() -> Memo<String> {
    let params = use_params_map();
    Memo::new(move |_| params.with(|params| params.get("workspace")).unwrap_or_default())
}

/// The overview of one workspace.
#[component]
pub fn OverviewPage() -> impl IntoView {
    let slug = use_workspace_slug();
    let glance = Resource::new(move || slug.get(), load_overview);
    let view = |glance: Glance| view! { <Overview glance/> };
    view! { <Loaded resource=glance view/> }
}

#[component]
fn Overview(glance: Glance) -> impl IntoView {
    let Glance { now, overview, events } = glance;
    let WorkspaceOverview { workspace, counts, reach, .. } = overview;
    let slug = workspace.slug.to_string();
    let tokens = format!("/workspaces/{slug}/settings/tokens");
    let lead = view! { "Workspace Overview "<code>{slug.clone()}</code> }.into_any();
    let note = match reach {
        TokenReach::All => None,
        TokenReach::Own => {
            Some("You manage your own API tokens here. These numbers count only your tokens.")
        }
        TokenReach::Read => {
            Some("You can view the API tokens of this workspace. Its administrators manage them.")
        }
        TokenReach::None => Some(
            "Administrators of this workspace manage its API tokens. Ask an administrator for a token.",
        ),
    };
    let note = note.map(|note| {
        view! {
            <p class="notice notice-info">
                <Icon glyph=Glyph::Info/>
                <span>{note}</span>
            </p>
        }
    });
    let tiles =
        (reach != TokenReach::None).then(|| view! { <Tiles counts tokens=tokens.clone()/> });
    let steps = (reach.manages() && counts.total == counts.never_used)
        .then(|| view! { <FirstSteps counts tokens=tokens.clone()/> });
    let actions = reach.manages().then(|| {
        view! {
            <a class="button button-primary" href=format!("{tokens}/new")>
                <Icon glyph=Glyph::Plus/>
                <span>"Add Token"</span>
            </a>
        }
        .into_any()
    });
    view! {
        <PageHead title=workspace.name.to_string() lead actions/>
        {note}
        {tiles}
        <div class="panes">
            {steps}
            {events.map(|events| view! { <Recent events now/> })}
        </div>
    }
}

/// The numbers of tokens, with links to the tokens that they count.
#[component]
fn Tiles(counts: TokenCounts, tokens: String) -> impl IntoView {
    let tile = |class, query: &str, label, value: i64, note| {
        view! {
            <li>
                <a class=class href=format!("{tokens}{query}")>
                    <span class="tile-label">{label}</span>
                    <span class="tile-value">{value}</span>
                    <span class="tile-note">{note}</span>
                </a>
            </li>
        }
    };
    view! {
        <ul class="tiles" aria-label="Tokens">
            {tile("tile tile-active", "?state=active", "Active", counts.active, "Usable now")}
            {tile(
                "tile tile-expiring",
                "?state=active&sort=expires",
                "Expiring",
                counts.expiring,
                "Within 14 days",
            )}
            {tile(
                "tile tile-unused",
                "?never_used=true&sort=oldest",
                "Never used",
                counts.never_used,
                "Consider deleting them",
            )}
            {tile("tile tile-expired", "?state=expired", "Expired", counts.expired, "No longer valid")}
        </ul>
    }
}
