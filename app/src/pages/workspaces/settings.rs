//! A workspace's settings.

use domain::{
    access::TokenReach,
    policy::{DAY_S, Policy},
};
use leptos::prelude::*;

use super::show::use_workspace_slug;
use crate::{
    components::{
        heading::PageHead,
        icon::{Glyph, Icon},
        loaded::Loaded,
    },
    fns::settings::{WorkspaceSettings, load_settings},
    pages::members::member_list::MemberList,
};

/// A workspace's settings.
#[component]
pub fn SettingsPage() -> impl IntoView {
    let slug = use_workspace_slug();
    let settings = Resource::new(move || slug.get(), load_settings);
    let view = |settings: WorkspaceSettings| view! { <Settings settings/> };
    view! { <Loaded resource=settings view/> }
}

#[component]
fn Settings(settings: WorkspaceSettings) -> impl IntoView {
    let WorkspaceSettings { overview, members } = settings;
    let name = overview.workspace.name.to_string();
    let slug = overview.workspace.slug.to_string();
    let lead = view! {
        {name.clone()}
        " "
        <code>{slug.clone()}</code>
    }
    .into_any();
    let reach = overview.reach;
    let count = (reach != TokenReach::None).then(|| {
        let total = overview.counts.total;
        let text = if total == 1 { "1 token".to_owned() } else { format!("{total} tokens") };
        view! { <span class="chip">{text}</span> }
    });
    let text = match reach {
        TokenReach::All => {
            "Add, view and delete the tokens of this workspace. Also called API access tokens."
        }
        TokenReach::Own => {
            "Add, view and delete your own tokens in this workspace. Also called API access tokens."
        }
        TokenReach::Read => {
            "View the tokens of this workspace. Administrators manage them. Also called API access tokens."
        }
        TokenReach::None => "Only administrators manage API tokens, also called API access tokens.",
    };
    view! {
        <PageHead title="Workspace Settings" lead/>
        <ul class="cards settings-cards">
            <li class="card setting-card">
                <Icon glyph=Glyph::Key class="icon card-icon"/>
                <div>
                    <h2 class="card-title">
                        <a class="card-link" href=format!("/workspaces/{slug}/settings/tokens")>
                            "API Tokens"
                        </a>
                    </h2>
                    <p class="card-text">{text}</p>
                </div>
                {count}
            </li>
        </ul>
        <Rules policy=overview.policy/>
        {members.map(|members| {
            let manage = (reach == TokenReach::All)
                .then(|| format!("/workspaces/{slug}/settings/members"));
            view! { <MemberList members workspace=name manage/> }
        })}
    }
}

/// The rules for tokens that are in force.
#[component]
fn Rules(policy: Policy) -> impl IntoView {
    let fact = |term: &'static str, value: String| {
        view! {
            <div>
                <dt>{term}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let permits_never = policy.permits_never();
    view! {
        <section class="pane" aria-labelledby="policy-title">
            <header class="pane-head">
                <h2 id="policy-title">"Token rules"</h2>
            </header>
            <dl class="facts facts-grid pane-body">
                {fact("Default lifetime", policy.default_ttl_s.map_or("never expires".into(), lifetime))}
                {fact("Maximum lifetime", policy.max_ttl_s.map_or("no limit".into(), lifetime))}
                {fact("Allow tokens that never expire", yes(permits_never))}
                {fact(
                    "Token limit",
                    policy.max_tokens.map_or("no limit".into(), |count| count.to_string()),
                )}
                {fact("Prefix", format!("{}_", policy.prefix))}
                {fact("Unique names", yes(policy.unique_names))}
            </dl>
        </section>
    }
}

/// Formats a lifetime in the most suitable unit.
fn lifetime(seconds: i64) -> String {
    let (count, unit) = if seconds % DAY_S == 0 {
        (seconds / DAY_S, "day")
    } else if seconds % 3_600 == 0 {
        (seconds / 3_600, "hour")
    } else {
        (seconds, "second")
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_shown_in_the_unit_that_fits() {
        assert_eq!(lifetime(90 * DAY_S), "90 days");
        assert_eq!(lifetime(DAY_S), "1 day");
        assert_eq!(lifetime(7_200), "2 hours");
        assert_eq!(lifetime(90), "90 seconds");
    }
}
