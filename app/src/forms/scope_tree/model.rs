//! The state of a scope tree's boxes: pure functions that can be tested without a browser.
//!
//! The visitor chooses some scopes, and catalogues state which other scopes they imply. A
//! chosen scope that another chosen scope implies is shown as included, and only the remaining
//! ones are submitted.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    catalogue::{Catalogue, Scope, ScopeGroup, ScopeName},
    held::HeldScopes,
};

/// The ticked scopes, each with its audience.
pub type Chosen = HeldScopes;

/// The state of one scope's box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Not granted.
    Off,
    /// Ticked.
    Chosen,
    /// Implied by the named scope.
    Included(ScopeName),
}

impl Mark {
    /// Returns whether the token gets this scope.
    pub const fn is_granted(&self) -> bool {
        !matches!(self, Self::Off)
    }
}

/// The state of a group's own box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tri {
    /// None of its scopes is granted.
    None,
    /// Some of its scopes are granted.
    Some,
    /// All of its scopes are granted.
    All,
}

/// The numbers of granted and of all scopes of a group, or of a catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The number of granted scopes.
    pub granted: usize,
    /// The number of all scopes.
    pub total: usize,
}

impl Count {
    /// Returns the state of a box that stands for all of these scopes. A group without scopes
    /// is [`Tri::None`].
    pub const fn tri(self) -> Tri {
        match self.granted {
            0 => Tri::None,
            granted if granted == self.total => Tri::All,
            _ => Tri::Some,
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {}", self.granted, self.total)
    }
}

/// The marks of one catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marking {
    kept: BTreeSet<ScopeName>,
    included: BTreeMap<ScopeName, ScopeName>,
}

impl Marking {
    /// Computes the marks for the scopes in `chosen`. Ignores names that the catalogue does
    /// not declare.
    pub fn of(catalogue: &Catalogue, chosen: &Chosen) -> Self {
        let mut kept: BTreeSet<ScopeName> = catalogue
            .scopes()
            .map(|scope| &scope.name)
            .filter(|name| chosen.holds(&catalogue.audience, name))
            .cloned()
            .collect();
        // Removes them one by one, so that one scope remains of those that imply each other in
        // a cycle.
        for name in kept.clone() {
            let others = kept.iter().filter(|other| **other != name);
            if catalogue.closure(others).contains(&name) {
                kept.remove(&name);
            }
        }
        let mut included = BTreeMap::new();
        for name in &kept {
            for reached in catalogue.closure([name]) {
                if !kept.contains(reached) {
                    included.entry(reached.clone()).or_insert_with(|| name.clone());
                }
            }
        }
        Self { kept, included }
    }

    /// Returns what the box of `name` shows.
    pub fn mark(&self, name: &ScopeName) -> Mark {
        if self.kept.contains(name) {
            Mark::Chosen
        } else if let Some(by) = self.included.get(name) {
            Mark::Included(by.clone())
        } else {
            Mark::Off
        }
    }

    /// Returns whether the token gets this scope.
    pub fn grants(&self, name: &ScopeName) -> bool {
        self.kept.contains(name) || self.included.contains_key(name)
    }

    /// Counts the granted scopes of a group.
    pub fn count(&self, group: &ScopeGroup) -> Count {
        Count {
            granted: group.scopes.iter().filter(|scope| self.grants(&scope.name)).count(),
            total: group.scopes.len(),
        }
    }

    /// Counts the granted scopes of the catalogue.
    pub fn count_all(&self, catalogue: &Catalogue) -> Count {
        Count { granted: self.kept.len() + self.included.len(), total: catalogue.scopes().count() }
    }
}

/// Ticks the whole group, or clears it if all of it is granted already. Scopes that are implied by
/// scopes of other groups stay granted.
pub fn toggle_group(catalogue: &Catalogue, group: &ScopeGroup, chosen: &mut Chosen) {
    let all = Marking::of(catalogue, chosen).count(group).tri() == Tri::All;
    for scope in &group.scopes {
        if all {
            chosen.remove(&catalogue.audience, &scope.name);
        } else {
            chosen.insert(catalogue.audience.clone(), scope.name.clone());
        }
    }
}

/// The filter of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The words that a scope must contain: all of them, in any case. An empty text matches
    /// every scope.
    pub words: String,
    /// Whether only scopes that the token gets are shown.
    pub selected_only: bool,
}

impl Filter {
    /// Returns whether the filter can hide anything.
    pub fn is_narrow(&self) -> bool {
        self.selected_only || !self.words.trim().is_empty()
    }

    /// Returns whether a scope is shown. The group's name counts as part of the scope's text, so
    /// that searching for it finds the whole group.
    pub fn shows(&self, group: &ScopeGroup, scope: &Scope, marking: &Marking) -> bool {
        if self.selected_only && !marking.grants(&scope.name) {
            return false;
        }
        let words = self.words.to_lowercase();
        let mut words = words.split_whitespace().peekable();
        if words.peek().is_none() {
            return true;
        }
        let text = format!("{} {} {}", group.name, scope.name, scope.description).to_lowercase();
        words.all(|word| text.contains(word))
    }

    /// Counts the scopes of the group that are shown.
    pub fn count(&self, group: &ScopeGroup, marking: &Marking) -> usize {
        group.scopes.iter().filter(|scope| self.shows(group, scope, marking)).count()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use domain::catalogue::Risk;

    use super::*;

    /// A small catalogue: rivers (read, write implies read, run), teams (read, write implies read).
    pub(crate) fn catalogue() -> Catalogue {
        let scope = |name: &str, description: &str, risk, implies: &[&str]| Scope {
            name: name.parse().unwrap(),
            description: description.to_owned().try_into().unwrap(),
            risk,
            implies: implies.iter().map(|name| name.parse().unwrap()).collect(),
        };
        Catalogue {
            audience: "default".parse().unwrap(),
            name: "Default API".parse().unwrap(),
            description: String::new().try_into().unwrap(),
            groups: vec![
                ScopeGroup {
                    name: "Rivers".parse().unwrap(),
                    description: String::new().try_into().unwrap(),
                    scopes: vec![
                        scope("rivers:read", "See rivers", Risk::Read, &[]),
                        scope("rivers:write", "Change rivers", Risk::Write, &["rivers:read"]),
                        scope("rivers:run", "Start a river", Risk::Write, &[]),
                    ],
                },
                ScopeGroup {
                    name: "Teams".parse().unwrap(),
                    description: String::new().try_into().unwrap(),
                    scopes: vec![
                        scope("teams:read", "See teams", Risk::Read, &[]),
                        scope("teams:write", "Change teams", Risk::Admin, &["teams:read"]),
                    ],
                },
            ],
        }
    }

    pub(crate) fn chosen(names: &[&str]) -> Chosen {
        let names = names.iter().map(|name| name.parse().unwrap());
        [("default".parse().unwrap(), names)].into_iter().collect()
    }

    fn name(text: &str) -> ScopeName {
        text.parse().unwrap()
    }

    #[test]
    fn implied_scope_is_included_with_the_scope_that_implies_it() {
        let marking = Marking::of(&catalogue(), &chosen(&["rivers:write"]));
        assert_eq!(marking.mark(&name("rivers:write")), Mark::Chosen);
        assert_eq!(marking.mark(&name("rivers:read")), Mark::Included(name("rivers:write")));
        assert_eq!(marking.mark(&name("rivers:run")), Mark::Off);
    }

    #[test]
    fn scope_that_is_both_chosen_and_implied_is_included() {
        let marking = Marking::of(&catalogue(), &chosen(&["rivers:read", "rivers:write"]));
        assert_eq!(marking.mark(&name("rivers:read")), Mark::Included(name("rivers:write")));
    }

    #[test]
    fn cyclic_implication_keeps_one_scope_chosen() {
        let mut catalogue = catalogue();
        catalogue.groups[0].scopes[0].implies = vec![name("rivers:write")];
        let marking = Marking::of(&catalogue, &chosen(&["rivers:read", "rivers:write"]));
        let marks = [marking.mark(&name("rivers:read")), marking.mark(&name("rivers:write"))];
        assert_eq!(marks.iter().filter(|mark| **mark == Mark::Chosen).count(), 1);
        assert!(marks.iter().all(Mark::is_granted));
    }

    #[test]
    fn unknown_scope_is_ignored() {
        let marking = Marking::of(&catalogue(), &chosen(&["boats:read"]));
        assert_eq!(marking, Marking::default());
    }

    #[test]
    fn scope_of_another_audience_is_ignored() {
        let pair = ("vault".parse().unwrap(), [name("rivers:read")]);
        let marking = Marking::of(&catalogue(), &[pair].into_iter().collect());
        assert_eq!(marking.mark(&name("rivers:read")), Mark::Off);
    }

    #[test]
    fn group_counts_granted_scopes() {
        let catalogue = catalogue();
        let marking = Marking::of(&catalogue, &chosen(&["rivers:write"]));
        let count = marking.count(&catalogue.groups[0]);
        assert_eq!((count.to_string().as_str(), count.tri()), ("2 of 3", Tri::Some));
        assert_eq!(marking.count(&catalogue.groups[1]).tri(), Tri::None);
        assert_eq!(marking.count_all(&catalogue).to_string(), "2 of 5");
    }

    #[test]
    fn group_box_selects_all_scopes_and_then_clears_them() {
        let catalogue = catalogue();
        let rivers = &catalogue.groups[0];
        let mut chosen = chosen(&["rivers:read", "teams:read"]);
        toggle_group(&catalogue, rivers, &mut chosen);
        assert_eq!(Marking::of(&catalogue, &chosen).count(rivers).tri(), Tri::All);
        toggle_group(&catalogue, rivers, &mut chosen);
        assert_eq!(chosen, self::chosen(&["teams:read"]));
    }

    #[test]
    fn empty_group_is_not_ticked() {
        assert_eq!(Count { granted: 0, total: 0 }.tri(), Tri::None);
    }

    #[test]
    fn filter_finds_all_words_in_name_description_and_group() {
        let catalogue = catalogue();
        let marking = Marking::of(&catalogue, &chosen(&["rivers:run"]));
        let shown = |words: &str, selected_only| -> Vec<String> {
            let filter = Filter { words: words.into(), selected_only };
            catalogue
                .groups
                .iter()
                .flat_map(|group| group.scopes.iter().map(move |scope| (group, scope)))
                .filter(|(group, scope)| filter.shows(group, scope, &marking))
                .map(|(_, scope)| scope.name.to_string())
                .collect()
        };
        assert_eq!(shown("START", false), ["rivers:run"]);
        assert_eq!(shown("change team", false), ["teams:write"]);
        assert_eq!(shown("teams", false), ["teams:read", "teams:write"]);
        assert_eq!(shown("", true), ["rivers:run"]);
        assert!(shown("boats", false).is_empty());
        assert_eq!(shown(" ", false).len(), 5);
    }
}
