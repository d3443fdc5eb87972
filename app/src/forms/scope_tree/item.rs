//! One scope of a tree.

use domain::{
    catalogue::{Risk, Scope, ScopeGroup},
    held::HeldScope,
    names::AudienceSlug,
};
use leptos::{
    ev::{Event, MouseEvent},
    prelude::*,
};

use super::{
    model::{Mark, Marking},
    view::Tree,
};
use crate::components::live::use_announcer;

/// A scope with its box. An included scope is shown ticked, can be reached by keyboard, and names
/// the scope that includes it. A scope that the visitor may not grant cannot be ticked.
#[component]
pub fn ScopeItem(
    /// The scope.
    scope: Scope,
    /// Its audience.
    audience: AudienceSlug,
    /// The id of its box.
    id: String,
    /// Its group.
    group: StoredValue<ScopeGroup>,
    /// The marks of the audience's catalogue.
    marking: Memo<Marking>,
    /// The tree.
    tree: Tree,
) -> impl IntoView {
    let text_id = format!("{id}-text");
    let note_id = format!("{id}-note");
    let name = scope.name.clone();
    let pair = HeldScope { audience, scope: name.clone() };
    let brings = brings(&scope);
    let (risk_class, risk) = risk(scope.risk);
    let description = scope.description.to_string();
    let withheld = tree.withheld.with_value(|withheld| withheld.contains(&pair));
    let ticked = tree.chosen.with_untracked(|chosen| chosen.holds(&pair.audience, &name));
    let value = pair.to_string();
    let audience = StoredValue::new(pair.audience);
    let scope = StoredValue::new(scope);
    let mark = Memo::new({
        let name = name.clone();
        move |_| marking.with(|marking| marking.mark(&name))
    });
    // Without scripts, a box shows only what was ticked, because it could not be updated.
    let included =
        Memo::new(move |_| tree.live.get() && mark.with(|mark| matches!(mark, Mark::Included(_))));
    let checked = {
        let name = name.clone();
        move || {
            included.get()
                || tree
                    .chosen
                    .with(|chosen| audience.with_value(|audience| chosen.holds(audience, &name)))
        }
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
        _ if withheld => "you can't grant this scope".to_owned(),
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
        move |event: Event| {
            let ticked = event_target_checked(&event);
            tree.chosen.update(|chosen| {
                if ticked {
                    chosen.insert(audience.get_value(), name.clone());
                } else {
                    audience.with_value(|audience| chosen.remove(audience, &name));
                }
            });
        }
    };
    let described_by = format!("{note_id} {text_id}");
    view! {
        <li class="scope" class:is-implied=move || included.get() class:is-refused=withheld
            hidden=hidden>
            <input class="checkbox" type="checkbox" id=id.clone() value=value
                name=move || (!included.get()).then_some("scope")
                disabled=withheld checked=ticked prop:checked=checked
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

/// Returns the class and the word for a risk.
pub(super) const fn risk(risk: Risk) -> (&'static str, &'static str) {
    match risk {
        Risk::Read => ("risk risk-read", "read"),
        Risk::Write => ("risk risk-write", "write"),
        Risk::Admin => ("risk risk-admin", "admin"),
    }
}

/// Returns the note that lists the scopes which a scope implies.
fn brings(scope: &Scope) -> String {
    let names: Vec<_> = scope.implies.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!("includes {}", names.join(", ")) }
}
