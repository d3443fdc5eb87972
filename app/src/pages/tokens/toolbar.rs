//! Search, filter and order of the list.
//!
//! It is a plain GET form. Once hydrated, it changes the URL while the visitor types or chooses, so
//! that its button is needed only without scripts.

use std::time::Duration;

use domain::{token::TokenState, token_query::TokenSort, workspace::TokenCounts};
use leptos::{ev::SubmitEvent, html, leptos_dom::helpers::TimeoutHandle, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::{paths::Paths, place::Place, status};
use crate::components::icon::{Glyph, Icon};

/// The pause in typing after which the search starts.
const PAUSE: Duration = Duration::from_millis(250);

/// The form above the table.
#[component]
pub fn Toolbar(
    /// The reader's place in the list.
    place: Memo<Place>,
    /// The workspace's paths.
    paths: Memo<Paths>,
    /// The numbers of tokens by state.
    counts: Memo<TokenCounts>,
    /// The total number of tokens.
    children: Children,
) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let stop = move || {
        if let Some(handle) = timer.try_update_value(Option::take).flatten() {
            handle.clear();
        }
    };
    on_cleanup(stop);
    let navigate = use_navigate();
    // The back button undoes a choice or a whole search, not every letter of it.
    let go = StoredValue::new(move |place: Place, replace: bool| {
        let options = NavigateOptions { replace, scroll: false, ..NavigateOptions::default() };
        navigate(&paths.with_untracked(|paths| paths.list(&place)), options);
    });
    let go = move |place: Place, replace: bool| go.with_value(|go| go(place, replace));
    let typed = move || input.get_untracked().map(|input| input.value()).unwrap_or_default();
    let search = move || {
        stop();
        let q = typed().trim().to_owned();
        let now = place.get_untracked();
        if q != now.q {
            let refines = !now.q.is_empty();
            go(Place { q, ..now.from_start() }, refines);
        }
    };
    let on_input = move |_| {
        stop();
        timer.set_value(set_timeout_with_handle(search, PAUSE).ok());
    };
    let on_state = move |event| {
        let state = event_target_value(&event).parse().ok();
        let q = typed().trim().to_owned();
        go(Place { q, state, ..place.get_untracked().from_start() }, false);
    };
    let on_sort = move |event| {
        let sort = event_target_value(&event).parse().unwrap_or_default();
        let q = typed().trim().to_owned();
        go(Place { q, sort, ..place.get_untracked().from_start() }, false);
    };
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        search();
    };
    // The back button and "Clear filters" change the URL from outside. A text that is being typed
    // takes precedence.
    Effect::new(move |_| {
        let q = place.with(|place| place.q.clone());
        if let Some(input) = input.get()
            && document().active_element().as_ref() != Some(input.as_ref())
            && input.value() != q
        {
            input.set_value(&q);
        }
    });
    let first = place.get_untracked();
    let (first_state, first_sort) = (first.state, first.sort);
    let state = move || place.with(|place| place.state.map_or("", TokenState::as_str));
    let sort = move || place.with(|place| place.sort.as_str());
    view! {
        <form class="toolbar" method="get" role="search" aria-label="Tokens"
            action=move || paths.with(|paths| paths.list(&Place::default())) on:submit=on_submit>
            <div class="search-field">
                <Icon glyph=Glyph::Search/>
                <label class="visually-hidden" for="q">"Search tokens"</label>
                <input class="input" type="search" id="q" name="q" value=first.q node_ref=input
                    placeholder="Search name, hint or owner" autocomplete="off" maxlength="200"
                    on:input=on_input/>
            </div>
            <div class="select-field">
                <label for="state">"Status"</label>
                <select class="select" id="state" name="state" prop:value=state on:change=on_state>
                    <option value="" selected=first_state.is_none()>
                        {move || format!("Any ({})", counts.get().total)}
                    </option>
                    {TokenState::ALL.map(|state| view! {
                        <option value=state.as_str() selected=first_state == Some(state)>
                            {move || {
                                format!("{} ({})", status::label(state), count(counts.get(), state))
                            }}
                        </option>
                    })}
                </select>
            </div>
            <div class="select-field">
                <label for="sort">"Sort"</label>
                <select class="select" id="sort" name="sort" prop:value=sort on:change=on_sort>
                    {TokenSort::ALL.map(|sort| view! {
                        <option value=sort.as_str() selected=first_sort == sort>
                            {order(sort)}
                        </option>
                    })}
                </select>
            </div>
            <NeverUsed place paths/>
            <button class="button hide-with-script" type="submit">"Apply"</button>
            <p class="toolbar-count" role="status">{children()}</p>
        </form>
    }
}

/// The filter without a control of its own. The form keeps it without scripts, and a link
/// removes it.
#[component]
fn NeverUsed(place: Memo<Place>, paths: Memo<Paths>) -> impl IntoView {
    move || {
        let place = place.get();
        place.never_used.then(|| {
            let all = Place { never_used: false, ..place.from_start() };
            let all = paths.with(|paths| paths.list(&all));
            view! {
                <input type="hidden" name="never_used" value="true"/>
                <a class="button" href=all>"Show used tokens"</a>
            }
        })
    }
}

/// Returns the number of tokens in a state.
fn count(counts: TokenCounts, state: TokenState) -> i64 {
    match state {
        TokenState::Active => counts.active,
        TokenState::Disabled => counts.disabled,
        TokenState::Expired => counts.expired,
        // Every token is in exactly one state, so scheduled tokens are the rest.
        TokenState::Scheduled => {
            (counts.total - counts.active - counts.disabled - counts.expired).max(0)
        }
    }
}

/// Returns an order's display name.
pub(super) const fn order(sort: TokenSort) -> &'static str {
    match sort {
        TokenSort::Newest => "Newest first",
        TokenSort::Oldest => "Oldest first",
        TokenSort::Name => "Name",
        TokenSort::Expires => "Next to expire",
        TokenSort::LastUsed => "Longest unused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_counted_in_one_state() {
        let counts = TokenCounts {
            total: 10,
            active: 5,
            expiring: 2,
            expired: 2,
            disabled: 1,
            never_used: 9,
        };
        let sum: i64 = TokenState::ALL.into_iter().map(|state| count(counts, state)).sum();
        assert_eq!(sum, counts.total);
        assert_eq!(count(counts, TokenState::Scheduled), 2);
    }
}
