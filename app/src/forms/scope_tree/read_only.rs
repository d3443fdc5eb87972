//! The tree of an existing token: the scopes that it was granted, and those that they imply.

use domain::{
    catalogue::{Catalogue, Scope, ScopeGroup, ScopeName},
    held::HeldScope,
    names::AudienceSlug,
    token::Token,
};
use leptos::prelude::*;

use super::{
    item::risk,
    model::{Chosen, Mark, Marking},
};
use crate::components::icon::{Glyph, Icon};

/// A token's scopes in the trees of its audiences. Groups without a granted scope are closed.
#[component]
pub fn ScopeList(
    /// The token.
    token: Token,
    /// The catalogues of its audiences.
    catalogues: Vec<Catalogue>,
) -> impl IntoView {
    let chosen = token.grants;
    let (mut granted, mut total) = (0, 0);
    for catalogue in &catalogues {
        let count = Marking::of(catalogue, &chosen).count_all(catalogue);
        granted += count.granted;
        total += count.total;
    }
    let retired = retired(&chosen, &catalogues);
    let parts = parts(&chosen, &catalogues);
    let groups = RwSignal::new(None::<bool>);
    let sections = catalogues
        .into_iter()
        .enumerate()
        .map(|(index, catalogue)| audience(&catalogue, index, &chosen, groups))
        .collect_view();
    let parts =
        beside("parts", "Covered by patterns", "Matches a pattern in this API's catalogue.", parts);
    let retired = beside(
        "retired",
        "No longer in the catalogue",
        "This scope was removed from its API's catalogue and grants nothing.",
        retired,
    );
    view! {
        <section class="field scope-tree is-readonly" id="scopes" aria-labelledby="scopes-title">
            <h2 class="label" id="scopes-title">"Scopes"</h2>
            <div class="scope-box">
                <div class="scope-toolbar">
                    <div class="scope-buttons needs-script">
                        <button class="button button-small button-quiet" type="button"
                            on:click=move |_| groups.set(Some(true))>
                            "Expand all"
                        </button>
                        <button class="button button-small button-quiet" type="button"
                            on:click=move |_| groups.set(Some(false))>
                            "Collapse all"
                        </button>
                    </div>
                    <p class="scope-count">
                        <strong>{granted}</strong>{format!(" of {total} granted")}
                    </p>
                </div>
                {sections}
                {parts}
                {retired}
            </div>
        </section>
    }
}

/// Renders a section of scopes that don't appear in a tree. Returns `None` if there are no
/// such scopes.
fn beside(
    id: &'static str,
    title: &'static str,
    text: &'static str,
    names: Vec<HeldScope>,
) -> Option<impl IntoView> {
    if names.is_empty() {
        return None;
    }
    let items = names
        .into_iter()
        .map(|name| {
            view! {
                <li class="scope is-granted">
                    {mark(true)}
                    <span class="scope-name">{name.scope.to_string()}</span>" "
                    <code>{name.audience.to_string()}</code>
                    <p class="scope-text">{text}</p>
                </li>
            }
        })
        .collect_view();
    let id = format!("{id}-title");
    Some(view! {
        <section class="scope-audience" aria-labelledby=id.clone()>
            <h3 class="scope-audience-title" id=id.clone()>{title}</h3>
            <ul class="scopes">{items}</ul>
        </section>
    })
}

/// Returns the scopes that the token holds as parts of a pattern.
fn parts(chosen: &Chosen, catalogues: &[Catalogue]) -> Vec<HeldScope> {
    beside_the_tree(chosen, catalogues, |catalogue, name| {
        catalogue.declares(name) && catalogue.scopes().all(|scope| scope.name != *name)
    })
}

/// Returns the scopes that the token holds but the catalogue of their audience does not declare.
fn retired(chosen: &Chosen, catalogues: &[Catalogue]) -> Vec<HeldScope> {
    beside_the_tree(chosen, catalogues, |catalogue, name| !catalogue.declares(name))
}

/// Returns the scopes for which the predicate holds in their audience's catalogue.
fn beside_the_tree(
    chosen: &Chosen,
    catalogues: &[Catalogue],
    says: impl Fn(&Catalogue, &ScopeName) -> bool,
) -> Vec<HeldScope> {
    let fits = |(audience, name): &(&AudienceSlug, &ScopeName)| {
        catalogues
            .iter()
            .filter(|catalogue| catalogue.audience == **audience)
            .any(|own| says(own, name))
    };
    chosen
        .pairs()
        .filter(fits)
        .map(|(audience, scope)| HeldScope { audience: audience.clone(), scope: scope.clone() })
        .collect()
}

fn audience(
    catalogue: &Catalogue,
    index: usize,
    chosen: &Chosen,
    groups: RwSignal<Option<bool>>,
) -> impl IntoView + use<> {
    let marking = Marking::of(catalogue, chosen);
    let title = format!("audience-{index}-title");
    let items = catalogue.groups.iter().map(|shown| group(shown, &marking, groups)).collect_view();
    view! {
        <section class="scope-audience" aria-labelledby=title.clone()>
            <h3 class="scope-audience-title" id=title.clone()>
                {catalogue.name.to_string()}" "<code>{catalogue.audience.to_string()}</code>
            </h3>
            <ul class="scope-groups">{items}</ul>
        </section>
    }
}

fn group(
    group: &ScopeGroup,
    marking: &Marking,
    groups: RwSignal<Option<bool>>,
) -> impl IntoView + use<> {
    let count = marking.count(group);
    let first = count.granted > 0;
    let items =
        group.scopes.iter().map(|scope| item(scope, &marking.mark(&scope.name))).collect_view();
    view! {
        <li class="scope-group-item">
            <details class="scope-group" open=first prop:open=move || groups.get().unwrap_or(first)>
                <summary>
                    <Icon glyph=Glyph::Chevron class="icon marker"/>
                    <span class="scope-group-name">{group.name.to_string()}</span>
                    <span class="scope-group-text">{group.description.to_string()}</span>
                    <span class="scope-group-count" class:has-some=first>
                        {count.to_string()}
                        <span class="visually-hidden">" granted"</span>
                    </span>
                </summary>
                <ul class="scopes">{items}</ul>
            </details>
        </li>
    }
}

fn item(scope: &Scope, shown: &Mark) -> impl IntoView + use<> {
    let (risk_class, risk) = risk(scope.risk);
    let class = match shown {
        Mark::Off => "scope",
        Mark::Chosen => "scope is-granted",
        Mark::Included(_) => "scope is-granted is-implied",
    };
    let note = match shown {
        Mark::Included(by) => {
            Some(view! { <span class="scope-note">{format!("included with {by}")}</span> })
        }
        Mark::Off | Mark::Chosen => None,
    };
    view! {
        <li class=class>
            {mark(shown.is_granted())}
            <span class="scope-name">{scope.name.to_string()}</span>
            <span class=risk_class>{risk}</span>
            {note}
            <p class="scope-text">{scope.description.to_string()}</p>
        </li>
    }
}

fn mark(granted: bool) -> impl IntoView {
    let (glyph, word) =
        if granted { (Glyph::Check, "granted:") } else { (Glyph::Close, "not granted:") };
    view! {
        <span class="scope-mark"><Icon glyph/><span class="visually-hidden">{word}" "</span></span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::scope_tree::model::tests::{catalogue, chosen};

    #[test]
    fn scope_in_no_catalogue_is_retired() {
        let retired = retired(&chosen(&["rivers:read", "boats:read"]), &[catalogue()]);
        assert_eq!(retired, ["default/boats:read".parse().unwrap()]);
    }
}
