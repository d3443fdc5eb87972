//! One audience of the tree with its groups.

use std::collections::BTreeSet;

use domain::{
    catalogue::{Catalogue, Scope, ScopeGroup},
    held::HeldScope,
    names::AudienceSlug,
};
use leptos::{
    ev::Event,
    prelude::*,
    web_sys::{Element, HtmlInputElement},
};

use super::{
    item::ScopeItem,
    model::{Filter, Marking, Tri, toggle_group},
    view::{OpenGroups, Tree},
};
use crate::components::icon::{Glyph, Icon};

/// The groups of one audience. Unless the audience is chosen, its boxes are disabled and
/// not submitted.
#[component]
pub fn AudienceScopes(
    /// The catalogue of the audience.
    catalogue: Catalogue,
    /// The position among the audiences, for ids.
    index: usize,
    /// The chosen audiences.
    audiences: Signal<BTreeSet<AudienceSlug>>,
    /// The tree.
    tree: Tree,
    /// Collects the open state of each group.
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
                group.scopes.iter().any(|scope| {
                    catalogue.with_value(|catalogue| chosen.holds(&catalogue.audience, &scope.name))
                })
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
    // The group's own box covers only the scopes that can be ticked.
    let offered = StoredValue::new({
        let mut offered = group.clone();
        let audience = catalogue.with_value(|catalogue| catalogue.audience.clone());
        let pair =
            |scope: &Scope| HeldScope { audience: audience.clone(), scope: scope.name.clone() };
        tree.withheld
            .with_value(|withheld| offered.scopes.retain(|scope| !withheld.contains(&pair(scope))));
        offered
    });
    let nothing_offered = offered.with_value(|group| group.scopes.is_empty());
    let group = StoredValue::new(group);
    // The number of granted scopes in the group, and the state of the group's box.
    let count = Memo::new(move |_| {
        let count = |group: StoredValue<ScopeGroup>| {
            marking.with(|marking| group.with_value(|group| marking.count(group)))
        };
        (count(group), count(offered).tri())
    });
    let shown = Memo::new(move |_| {
        tree.filter.with(|filter| {
            !filter.is_narrow()
                || marking
                    .with(|marking| group.with_value(|group| filter.count(group, marking) > 0))
        })
    });
    let forced = move || tree.filter.with(Filter::is_narrow);
    let on_toggle = move |event: Event| {
        let details = event_target::<Element>(&event);
        // While a filter forces matching groups open, the open state is not the reader's choice.
        if !tree.filter.with_untracked(Filter::is_narrow) {
            open.set(details.has_attribute("open"));
        }
    };
    let on_change = move |event: Event| {
        offered.with_value(|group| {
            tree.chosen.update(|chosen| {
                catalogue.with_value(|catalogue| toggle_group(catalogue, group, chosen));
            });
        });
        // The browser has already toggled the box. Scopes implied by other groups may prevent that
        // change, so the box is set again.
        let tri = count.get_untracked().1;
        let input = event_target::<HtmlInputElement>(&event);
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
            let audience = catalogue.with_value(|catalogue| catalogue.audience.clone());
            view! { <ScopeItem scope audience id group marking tree/> }
        })
        .collect_view();
    view! {
        <li class="scope-group-item" hidden=move || !shown.get()>
            <input class="checkbox scope-group-check needs-script" type="checkbox"
                id=format!("group-{id}") aria-label=label
                disabled=nothing_offered
                prop:checked=move || count.get().1 == Tri::All
                prop:indeterminate=move || count.get().1 == Tri::Some
                on:change=on_change/>
            <details class="scope-group" open=open.get_untracked()
                prop:open=move || forced() || open.get() on:toggle=on_toggle>
                <summary>
                    <Icon glyph=Glyph::Chevron class="icon marker"/>
                    <span class="scope-group-name">{name}</span>
                    <span class="scope-group-text">{description}</span>
                    <span class="scope-group-count needs-script"
                        class:has-some=move || count.get().0.granted != 0>
                        {move || count.get().0.to_string()}
                        <span class="visually-hidden">" selected"</span>
                    </span>
                </summary>
                <ul class="scopes">{scopes}</ul>
            </details>
        </li>
    }
}
