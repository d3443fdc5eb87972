//! The tree to choose from.
//!
//! Without scripts it is a form of plain boxes in `<details>`. Hydrated it marks what comes along
//! with a choice, counts, searches, and gives each group a box of its own. What a choice brings
//! along is shown ticked and can be reached by keyboard, but not cleared and not submitted: its
//! note says why.

use std::collections::BTreeSet;

use domain::{
    catalogue::{Catalogue, Risk, Scope, ScopeGroup},
    names::AudienceSlug,
};
use leptos::{ev::MouseEvent, prelude::*};

use super::model::{Chosen, Filter, Mark, Marking, Tri, toggle_group};
use crate::{
    components::{
        icon::{Glyph, Icon},
        live::use_announcer,
    },
    forms::FormState,
};

/// The state of a tree, shared by its parts.
#[derive(Clone, Copy)]
struct Tree {
    chosen: RwSignal<Chosen>,
    filter: RwSignal<Filter>,
    live: Signal<bool>,
}

/// Whether each group is open.
type OpenGroups = StoredValue<Vec<RwSignal<bool>>>;

/// The scopes of all audiences, to choose from.
#[component]
pub fn ScopeTree(
    /// Every audience that could be chosen.
    catalogues: StoredValue<Vec<Catalogue>>,
    /// The audiences that are.
    audiences: Signal<BTreeSet<AudienceSlug>>,
    /// The scopes that are ticked.
    chosen: RwSignal<Chosen>,
    /// Whether there are scripts: `false` on the server and in the first view of the browser.
    #[prop(into)]
    live: Signal<bool>,
) -> impl IntoView {
    let tree = Tree { chosen, filter: RwSignal::new(Filter::default()), live };
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
                    <span>{format!("Scopes {message}")}</span>
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
                "What the token may do. Nothing is allowed that is not ticked."
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
    // Return in the search field must not send the form around it.
    let on_keydown = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Enter" {
            event.prevent_default();
        }
    };
    view! {
        <div class="scope-toolbar">
            <div class="search-field needs-script">
                <Icon glyph=Glyph::Search/>
                <label class="visually-hidden" for="scope-search">"Search scopes"</label>
                <input class="input" type="search" id="scope-search" placeholder="Search scopes"
                    autocomplete="off" on:input=on_input on:keydown=on_keydown/>
            </div>
            <div class="scope-buttons needs-script">
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
            <p class="scope-count needs-script" role="status">
                <strong>{move || count.get().0}</strong>
                {move || format!(" of {} selected", count.get().1)}
            </p>
        </div>
    }
}

/// The groups of one audience. While the audience is not chosen its boxes are out of the form.
#[component]
fn AudienceScopes(
    catalogue: Catalogue,
    index: usize,
    audiences: Signal<BTreeSet<AudienceSlug>>,
    tree: Tree,
    open_groups: OpenGroups,
) -> impl IntoView {
    let audience = catalogue.audience.clone();
    let chosen_audience =
        Memo::new(move |_| audiences.with(|audiences| audiences.contains(&audience)));
    let off = move || tree.live.get() && !chosen_audience.get();
    let title = format!("audience-{index}-title");
    let name = catalogue.name.to_string();
    let slug = catalogue.audience.to_string();
    let catalogue = StoredValue::new(catalogue);
    let marking = Memo::new(move |_| {
        tree.chosen.with(|chosen| catalogue.with_value(|all| Marking::of(all, chosen)))
    });
    let hidden = move || {
        off() || {
            let filter = tree.filter.get();
            filter.is_narrow()
                && marking.with(|marking| {
                    catalogue.with_value(|all| {
                        all.groups.iter().all(|group| filter.count(group, marking) == 0)
                    })
                })
        }
    };
    let groups = catalogue
        .with_value(|catalogue| catalogue.groups.clone())
        .into_iter()
        .enumerate()
        .map(|(at, group)| {
            let any_chosen = tree.chosen.with_untracked(|chosen| {
                group.scopes.iter().any(|scope| chosen.contains(&scope.name))
            });
            let open = RwSignal::new(any_chosen || (index == 0 && at == 0));
            open_groups.update_value(|groups| groups.push(open));
            let id = format!("{index}-{at}");
            view! { <Group group id catalogue marking tree open/> }
        })
        .collect_view();
    view! {
        <section class="scope-audience" aria-labelledby=title.clone() hidden=hidden>
            <h2 class="scope-audience-title" id=title.clone()>{name}" "<code>{slug}</code></h2>
            <fieldset class="scope-audience-fields" disabled=off>
                <ul class="scope-groups">{groups}</ul>
            </fieldset>
        </section>
    }
}

#[component]
fn Group(
    group: ScopeGroup,
    id: String,
    catalogue: StoredValue<Catalogue>,
    marking: Memo<Marking>,
    tree: Tree,
    open: RwSignal<bool>,
) -> impl IntoView {
    let name = group.name.to_string();
    let description = group.description.to_string();
    let group = StoredValue::new(group);
    let count =
        Memo::new(move |_| marking.with(|marking| group.with_value(|group| marking.count(group))));
    let shown = Memo::new(move |_| {
        tree.filter.with(|filter| {
            !filter.is_narrow()
                || marking
                    .with(|marking| group.with_value(|group| filter.count(group, marking) > 0))
        })
    });
    let forced = move || tree.filter.with(Filter::is_narrow);
    let on_toggle = move |event: leptos::ev::Event| {
        let details = event_target::<leptos::web_sys::Element>(&event);
        // While a filter holds matching groups open, that is not the reader's choice.
        if !tree.filter.with_untracked(Filter::is_narrow) {
            open.set(details.has_attribute("open"));
        }
    };
    let on_change = move |event: leptos::ev::Event| {
        group.with_value(|group| {
            tree.chosen.update(|chosen| {
                catalogue.with_value(|catalogue| toggle_group(catalogue, group, chosen));
            });
        });
        // The browser has changed the box by itself already; what comes along from elsewhere may
        // have kept it as it was.
        let tri = count.get_untracked().tri();
        let input = event_target::<leptos::web_sys::HtmlInputElement>(&event);
        input.set_checked(tri == Tri::All);
        input.set_indeterminate(tri == Tri::Some);
    };
    let label = format!("All scopes of {name}");
    let scopes = group
        .with_value(|group| group.scopes.clone())
        .into_iter()
        .enumerate()
        .map(|(at, scope)| {
            let id = format!("scope-{id}-{at}");
            view! { <ScopeItem scope id group marking tree/> }
        })
        .collect_view();
    view! {
        <li class="scope-group-item" hidden=move || !shown.get()>
            <input class="checkbox scope-group-check needs-script" type="checkbox"
                id=format!("group-{id}") aria-label=label
                prop:checked=move || count.get().tri() == Tri::All
                prop:indeterminate=move || count.get().tri() == Tri::Some
                on:change=on_change/>
            <details class="scope-group" open=open.get_untracked()
                prop:open=move || forced() || open.get() on:toggle=on_toggle>
                <summary>
                    <Icon glyph=Glyph::Chevron class="icon marker"/>
                    <span class="scope-group-name">{name}</span>
                    <span class="scope-group-text">{description}</span>
                    <span class="scope-group-count needs-script"
                        class:has-some=move || count.get().granted != 0>
                        {move || count.get().to_string()}
                        <span class="visually-hidden">" selected"</span>
                    </span>
                </summary>
                <ul class="scopes">{scopes}</ul>
            </details>
        </li>
    }
}

#[component]
fn ScopeItem(
    scope: Scope,
    id: String,
    group: StoredValue<ScopeGroup>,
    marking: Memo<Marking>,
    tree: Tree,
) -> impl IntoView {
    let text_id = format!("{id}-text");
    let note_id = format!("{id}-note");
    let name = scope.name.clone();
    let brings = brings(&scope);
    let (risk_class, risk) = risk(scope.risk);
    let description = scope.description.to_string();
    let ticked = tree.chosen.with_untracked(|chosen| chosen.contains(&name));
    let scope = StoredValue::new(scope);
    let mark = Memo::new({
        let name = name.clone();
        move |_| marking.with(|marking| marking.mark(&name))
    });
    // Before there are scripts a box is what was ticked, no more: it could not change back.
    let included =
        Memo::new(move |_| tree.live.get() && mark.with(|mark| matches!(mark, Mark::Included(_))));
    let checked = {
        let name = name.clone();
        move || included.get() || tree.chosen.with(|chosen| chosen.contains(&name))
    };
    let hidden = move || {
        tree.filter.with(|filter| {
            filter.is_narrow()
                && !marking.with(|marking| {
                    group.with_value(|group| {
                        scope.with_value(|scope| filter.shows(group, scope, marking))
                    })
                })
        })
    };
    let note = move || match mark.get() {
        Mark::Included(by) if tree.live.get() => format!("included with {by}"),
        _ => brings.clone(),
    };
    let announcer = use_announcer();
    let on_click = {
        let name = name.clone();
        move |event: MouseEvent| {
            if let Mark::Included(by) = mark.get_untracked() {
                event.prevent_default();
                announcer.say(format!("{name} is included with {by}. Clear {by} first."));
            }
        }
    };
    let on_change = {
        let name = name.clone();
        move |event: leptos::ev::Event| {
            let ticked = event_target_checked(&event);
            tree.chosen.update(|chosen| {
                if ticked {
                    chosen.insert(name.clone());
                } else {
                    chosen.remove(&name);
                }
            });
        }
    };
    let described_by = format!("{note_id} {text_id}");
    view! {
        <li class="scope" class:is-implied=move || included.get() hidden=hidden>
            <input class="checkbox" type="checkbox" id=id.clone() value=name.to_string()
                name=move || (!included.get()).then_some("scope")
                checked=ticked prop:checked=checked
                aria-disabled=move || included.get().then_some("true")
                aria-describedby=described_by
                on:click=on_click on:change=on_change/>
            <label class="scope-name" for=id>{name.to_string()}</label>
            <span class=risk_class>{risk}</span>
            <span class="scope-note" id=note_id>{note}</span>
            <p class="scope-text" id=text_id>{description}</p>
        </li>
    }
}

/// The class and the word of a risk.
pub(super) const fn risk(risk: Risk) -> (&'static str, &'static str) {
    match risk {
        Risk::Read => ("risk risk-read", "read"),
        Risk::Write => ("risk risk-write", "write"),
        Risk::Admin => ("risk risk-admin", "admin"),
    }
}

/// What a scope says of those that come with it.
fn brings(scope: &Scope) -> String {
    let names: Vec<_> = scope.implies.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!("includes {}", names.join(", ")) }
}

/// Why nothing is shown.
fn none_text(filter: &Filter) -> String {
    match filter.words.trim() {
        "" => "No scope is selected yet.".to_owned(),
        words if filter.selected_only => format!("No selected scope matches “{words}”."),
        words => format!("No scope matches “{words}”."),
    }
}
