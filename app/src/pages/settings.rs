//! A workspace's settings.

use domain::{
    access::TokenReach,
    policy::{DAY_S, Policy},
    roles::UserKind,
    workspace::Member,
};
use leptos::prelude::*;

use super::{overview::use_workspace_slug, workspaces::role_name};
use crate::{
    components::{
        heading::PageHead,
        icon::{Glyph, Icon},
        loaded::Loaded,
    },
    fns::settings::{WorkspaceSettings, load_settings},
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
            "Also called API access tokens: add, view and delete the tokens of this workspace."
        }
        TokenReach::Own => {
            "Also called API access tokens: add, view and delete your own in this workspace."
        }
        TokenReach::Read => {
            "Also called API access tokens. You see them; administrators manage them."
        }
        TokenReach::None => "Also called API access tokens. Only administrators manage them.",
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
            view! { <Members members workspace=name manage/> }
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
                <h2 id="policy-title">"Rules for tokens"</h2>
            </header>
            <dl class="facts facts-grid pane-body">
                {fact("Default lifetime", policy.default_ttl_s.map_or("never expires".into(), lifetime))}
                {fact("Longest lifetime", policy.max_ttl_s.map_or("no limit".into(), lifetime))}
                {fact("May never expire", yes(permits_never))}
                {fact(
                    "Most tokens",
                    policy.max_tokens.map_or("no limit".into(), |count| count.to_string()),
                )}
                {fact("Prefix", format!("{}_", policy.prefix))}
                {fact("Unique names", yes(policy.unique_names))}
            </dl>
        </section>
    }
}

/// A lifetime in the unit that fits.
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

#[component]
fn Members(
    members: Vec<Member>,
    workspace: String,
    /// The page to invite people, for those who may.
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
        view! {
            <p class="pane-body muted">
                "Nobody belongs to this workspace yet. Administrators of this instance manage its tokens."
            </p>
        }
        .into_any()
    } else {
        view! {
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
        }
        .into_any()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_told_in_the_unit_that_fits() {
        assert_eq!(lifetime(90 * DAY_S), "90 days");
        assert_eq!(lifetime(DAY_S), "1 day");
        assert_eq!(lifetime(7_200), "2 hours");
        assert_eq!(lifetime(90), "90 seconds");
    }
}
