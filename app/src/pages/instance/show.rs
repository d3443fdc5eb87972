//! The running instance: the build, the database, and the servers with their leases.

use domain::replica::{Replica, ReplicaState};
use leptos::{either::Either, ev::MouseEvent, prelude::*, task::spawn_local};
use time::{Duration, OffsetDateTime};

use crate::{
    components::{
        heading::PageHead,
        icon::{Glyph, Icon},
        live::use_announcer,
        loaded::Loaded,
        moment::{Moment, machine, relative},
    },
    fns::instance::{InstanceState, load_instance},
    problem::ConsoleError,
};

/// The instance page, for visitors who manage the instance.
#[component]
pub fn InstancePage() -> impl IntoView {
    let instance = Resource::new(|| (), |()| load_instance());
    let view = |state: InstanceState| view! { <Instance state/> };
    view! { <Loaded resource=instance view/> }
}

/// The data, and a button that reloads it in place, so that scroll position and focus stay.
#[component]
fn Instance(state: InstanceState) -> impl IntoView {
    let current = RwSignal::new(state);
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<String>);
    let announcer = use_announcer();
    let refresh = move |event: MouseEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            match load_instance().await {
                Ok(state) => {
                    current.set(state);
                    failure.set(None);
                    announcer.say("Updated.");
                }
                Err(ConsoleError(problem)) => failure.set(Some(problem.detail)),
            }
            busy.set(false);
        });
    };
    let actions = view! {
        <a class="button" href="/instance" rel="external" on:click=refresh>
            <Icon glyph=Glyph::Rotate/>
            <span>"Refresh"</span>
        </a>
    }
    .into_any();
    let lead = "The servers of this instance, and how up to date each one is.".into_any();
    view! {
        <PageHead title="Instance" lead actions=Some(actions)/>
        <div role="alert">
            {move || failure.get().map(|detail| view! {
                <p class="notice notice-danger">
                    <Icon glyph=Glyph::Warning/>
                    <span>"Couldn't refresh. "{detail}</span>
                </p>
            })}
        </div>
        {move || current.with(about)}
        {move || current.with(servers)}
    }
}

/// Renders the build of the server that responded, and its database.
fn about(state: &InstanceState) -> impl IntoView + use<> {
    let view = &state.view;
    let (started_at, now) = (view.started_at, view.now);
    let fact = |term: &'static str, value: AnyView| {
        view! {
            <div>
                <dt>{term}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let up = view! { <time datetime=machine(started_at)>{span(now - started_at)}</time> };
    let url = state.public_url.clone();
    // Drops the text that packagers append to the version.
    let database = view.database_version.split(' ').next().unwrap_or_default().to_owned();
    view! {
        <section class="pane" aria-labelledby="instance-title">
            <header class="pane-head">
                <h2 id="instance-title">"This server"</h2>
            </header>
            <dl class="facts facts-grid pane-body">
                {fact("Version", view.version.clone().into_any())}
                {fact("Running for", up.into_any())}
                {fact("Public URL", view! { <code>{url}</code> }.into_any())}
                {fact("Database", format!("PostgreSQL {database}, reachable").into_any())}
            </dl>
        </section>
    }
}

/// Renders the table of servers. In a narrow container, CSS turns its rows into cards.
fn servers(state: &InstanceState) -> impl IntoView + use<> {
    let now = state.view.now;
    let replicas = &state.view.replicas;
    let list = if replicas.is_empty() {
        Either::Left(view! {
            <p class="pane-body muted">
                "No servers have reported yet. Each server reports within seconds of starting."
            </p>
        })
    } else {
        let rows = replicas.iter().map(|replica| row(replica, now)).collect_view();
        Either::Right(view! {
            <div class="table-wrap">
                <table class="table servers-table">
                    <caption class="visually-hidden">"Servers of this instance"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"State"</th>
                            <th scope="col">"Version"</th>
                            <th scope="col">"Started"</th>
                            <th scope="col">"Lease"</th>
                            <th scope="col">"Revision"</th>
                            <th scope="col">"Revocation"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        })
    };
    let count = replicas.len();
    view! {
        <section class="pane" aria-labelledby="servers-title">
            <header class="pane-head">
                <h2 id="servers-title">"Servers"</h2>
                <span class="pane-note">{count}</span>
            </header>
            {list}
            <p class="pane-body muted">
                "A server with a current lease answers from memory. A late server refuses verifications until it has \
                 renewed its lease, unless stale_grace is set. Revocation is the time from a change on that server \
                 until no server accepts what was revoked (median / 99th percentile)."
            </p>
        </section>
    }
}

fn row(replica: &Replica, now: OffsetDateTime) -> impl IntoView + use<> {
    let (class, glyph, word) = match replica.state(now) {
        ReplicaState::Live => ("status status-active", Glyph::Active, "Live"),
        ReplicaState::Late => ("status status-expiring", Glyph::Warning, "Late"),
        ReplicaState::Gone => ("status status-expired", Glyph::Expired, "Gone"),
    };
    let own = replica.own.then(|| view! { <span class="cell-note">"This server"</span> });
    let behind = match replica.behind {
        0 => "up to date".to_owned(),
        behind => format!("{behind} behind"),
    };
    let revoking = match (replica.revocation_p50_us, replica.revocation_p99_us) {
        (Some(half), Some(most)) => {
            let times = format!("{} / {}", milliseconds(half), milliseconds(most));
            let count = match replica.revocations {
                1 => "1 change".to_owned(),
                count => format!("{count} changes"),
            };
            Either::Left(view! { {times}<span class="cell-note">{count}</span> })
        }
        _ => Either::Right(view! { <span class="muted">"None yet"</span> }),
    };
    view! {
        <tr>
            <th scope="row"><bdi>{replica.name.clone()}</bdi>{own}</th>
            <td data-label="State"><span class=class><Icon glyph/>{word}</span></td>
            <td data-label="Version">{replica.version.clone()}</td>
            <td data-label="Started"><Moment at=replica.started_at now/></td>
            <td data-label="Lease">{lease(replica, now)}</td>
            <td data-label="Revision">{replica.applied}<span class="cell-note">{behind}</span></td>
            <td data-label="Revocation">{revoking}</td>
        </tr>
    }
}

/// Returns when the lease was renewed. A recent renewal is shown to the tenth of a second.
fn lease(replica: &Replica, now: OffsetDateTime) -> String {
    let age = replica.lease_age(now);
    if age < Duration::seconds(45) {
        format!("{:.1} s ago", age.as_seconds_f64())
    } else {
        relative(replica.renewed_at, now)
    }
}

/// Formats a time in milliseconds, short ones to the tenth: `0.4 ms`, `12 ms`.
fn milliseconds(microseconds: i64) -> String {
    if microseconds < 9_950 {
        format!("{}.{} ms", microseconds / 1_000, microseconds % 1_000 / 100)
    } else {
        format!("{} ms", (microseconds + 500) / 1_000)
    }
}

/// Formats a duration in its two largest units.
fn span(time: Duration) -> String {
    let seconds = time.whole_seconds().max(0);
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let told: Vec<String> = parts[first..]
        .iter()
        .take(2)
        .enumerate()
        .filter(|(place, (count, _))| *place == 0 || *count > 0)
        .map(|(_, (count, unit))| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {unit}{plural}")
        })
        .collect();
    told.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_their_largest_units() {
        for (seconds, text) in [
            (-5, "0 seconds"),
            (0, "0 seconds"),
            (61, "1 minute 1 second"),
            (3_600, "1 hour"),
            (3_659, "1 hour"),
            (90_000, "1 day 1 hour"),
            (8 * 86_400 + 59, "8 days"),
        ] {
            assert_eq!(span(Duration::seconds(seconds)), text);
        }
        for (microseconds, text) in [
            (0, "0.0 ms"),
            (412, "0.4 ms"),
            (9_949, "9.9 ms"),
            (9_950, "10 ms"),
            (2_031_400, "2031 ms"),
        ] {
            assert_eq!(milliseconds(microseconds), text);
        }
    }
}
