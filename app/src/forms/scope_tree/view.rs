//! The tree to choose scopes from.
//!
//! Without scripts it is a form of plain boxes in `<details>`. Once hydrated, it marks implied
//! scopes, counts, searches, and gives each group its own box. An implied scope is shown ticked
//! and can be reached by keyboard, but cannot be cleared and is not submitted; its note gives
//! the reason.

use std::collections::BTreeSet;

use domain::{catalogue::Catalogue, held::HeldScope, names::AudienceSlug};
use leptos::prelude::*;

use super::{
    group::AudienceScopes,
    model::{Chosen, Filter, Marking},
};
use crate::{
    components::icon::{Glyph, Icon},
    forms::FormState,
};

/// The state of a tree, shared by its components.
#[derive(Clone, Copy)]
pub struct Tree {
    /// The ticked scopes.
    pub chosen: RwSignal<Chosen>,
    /// The filter.
    pub filter: RwSignal<Filter>,
    /// The scopes that the visitor may not grant to tokens. They are shown, but cannot be ticked.
    pub withheld: StoredValue<BTreeSet<HeldScope>>,
    /// Whether scripts run.
    pub live: Signal<bool>,
}

/// The open state of each group.
pub type OpenGroups = StoredValue<Vec<RwSignal<bool>>>;

/// The scopes of all audiences, to choose from.
#[component]
pub fn ScopeTree(
    /// The catalogues of all audiences that can be chosen.
    catalogues: StoredValue<Vec<Catalogue>>,
    /// The scopes that the visitor may not grant to tokens.
    withheld: BTreeSet<HeldScope>,
    /// The chosen audiences.
    audiences: Signal<BTreeSet<AudienceSlug>>,
    /// The ticked scopes.
    chosen: RwSignal<Chosen>,
    /// Whether scripts run: `false` on the server and in the browser's first render.
    #[prop(into)]
    live: Signal<bool>,
) -> impl IntoView {
    let withheld = StoredValue::new(withheld);
    let tree = Tree { chosen, filter: RwSignal::new(Filter::default()), withheld, live };
    let open_groups: OpenGroups = StoredValue::new(Vec::new());
    let sections = catalogues
        .get_value()
        .into_iter()
        .enumerate()
        .map(|(index, catalogue)| {
            view! { <AudienceScopes catalogue index audiences tree open_groups/> }
        })
        .collect_view();
    let shown_audiences = move || {
        catalogues.with_value(|catalogues| {
            audiences.with(|audiences| {
                let fits = |catalogue: &&Catalogue| audiences.contains(&catalogue.audience);
                catalogues.iter().filter(fits).cloned().collect::<Vec<_>>()
            })
        })
    };
    let count = Memo::new(move |_| {
        chosen.with(|chosen| {
            shown_audiences().iter().fold((0, 0), |(granted, total), catalogue| {
                let count = Marking::of(catalogue, chosen).count_all(catalogue);
                (granted + count.granted, total + count.total)
            })
        })
    });
    let nothing = Memo::new(move |_| {
        tree.filter.with(|filter| {
            filter.is_narrow()
                && chosen.with(|chosen| {
                    shown_audiences().iter().all(|catalogue| {
                        let marking = Marking::of(catalogue, chosen);
                        catalogue.groups.iter().all(|group| filter.count(group, &marking) == 0)
                    })
                })
        })
    });
    let state = use_context::<FormState>();
    let error = Memo::new(move |_| state.and_then(|state| state.error("scopes")));
    let described_by = move || {
        if error.with(Option::is_some) { "scopes-hint scopes-error" } else { "scopes-hint" }
    };
    let error = move || {
        error.get().map(|message| {
            view! {
                <p class="field-error" id="scopes-error">
                    <Icon glyph=Glyph::Warning/>
                    <span>{message}</span>
                </p>
            }
        })
    };
    let failed = move || state.is_some_and(|state| state.error("scopes").is_some());
    view! {
        <fieldset class="field scope-tree" class:has-error=failed id="scopes" tabindex="-1"
            aria-describedby=described_by>
            <legend class="label">"Scopes"</legend>
            <p class="field-hint" id="scopes-hint">
                "Select what the token can do. Everything else is refused."
            </p>
            {error}
            <div class="scope-box">
                <Toolbar tree open_groups count/>
                {sections}
                <p class="scope-none" role="status" hidden=move || !nothing.get()>
                    {move || none_text(&tree.filter.get())}
                </p>
            </div>
        </fieldset>
    }
}

#[component]
fn Toolbar(tree: Tree, open_groups: OpenGroups, count: Memo<(usize, usize)>) -> impl IntoView {
    let all = move |open: bool| {
        open_groups.with_value(|groups| groups.iter().for_each(|group| group.set(open)));
    };
    let pressed = move || {
        if tree.filter.with(|filter| filter.selected_only) { "true" } else { "false" }
    };
    let on_input = move |event| {
        let words = event_target_value(&event);
        tree.filter.update(|filter| filter.words = words);
    };
    // Enter in the search field must not submit the surrounding form.
    let on_keydown = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Enter" {
            event.prevent_default();
        }
    };
    view! {
        <div class="scope-toolbar needs-script">
            <div class="search-field">
                <Icon glyph=Glyph::Search/>
                <label class="visually-hidden" for="scope-search">"Search scopes"</label>
                <input class="input" type="search" id="scope-search" placeholder="Search scopes"
                    autocomplete="off" on:input=on_input on:keydown=on_keydown/>
            </div>
            <div class="scope-buttons">
                <button class="button button-small button-quiet" type="button"
                    on:click=move |_| all(true)>
                    "Expand all"
                </button>
                <button class="button button-small button-quiet" type="button"
                    on:click=move |_| all(false)>
                    "Collapse all"
                </button>
                <button class="button button-small button-quiet" type="button" aria-pressed=pressed
                    on:click=move |_| {
                        tree.filter.update(|filter| filter.selected_only = !filter.selected_only);
                    }>
                    "Selected only"
                </button>
            </div>
            <p class="scope-count" role="status">
                <strong>{move || count.get().0}</strong>
                {move || format!(" of {} selected", count.get().1)}
            </p>
        </div>
    }
}

/// Returns the reason why no scope is shown.
fn none_text(filter: &Filter) -> String {
    match filter.words.trim() {
        "" => "No scopes selected yet.".to_owned(),
        words if filter.selected_only => format!("No selected scopes match “{words}”."),
        words => format!("No scopes match “{words}”."),
    }
}
