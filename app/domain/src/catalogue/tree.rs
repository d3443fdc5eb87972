//! A catalogue: the scopes of one audience and their descriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ScopeName;
use crate::{
    names::{AudienceSlug, Description, DisplayName},
    scope_pattern::Steps,
};

/// How much harm a scope can do in the wrong hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Only reads.
    #[default]
    Read,
    /// Changes or starts something.
    Write,
    /// Manages access, or cannot be undone.
    Admin,
}

/// A permission in a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The scope's name, unique in the catalogue.
    pub name: ScopeName,
    /// The access that the scope gives, in one sentence for the person who selects it.
    pub description: Description,
    /// How much harm the scope can do.
    #[serde(default)]
    pub risk: Risk,
    /// Scopes of the same catalogue that are granted together with it.
    #[serde(default)]
    pub implies: Vec<ScopeName>,
}

/// Scopes that belong together, such as all scopes about rivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeGroup {
    /// The heading of the group.
    pub name: DisplayName,
    /// The topic of the group.
    #[serde(default)]
    pub description: Description,
    /// The scopes, in the order in which they are shown.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// An audience with all its scopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The audience's name in requests.
    pub audience: AudienceSlug,
    /// The audience's display name.
    pub name: DisplayName,
    /// The purpose of the API.
    #[serde(default)]
    pub description: Description,
    /// Groups of scopes, in the order in which they are shown.
    #[serde(default)]
    pub groups: Vec<ScopeGroup>,
}

/// The reason why a catalogue is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogueError {
    /// Two scopes have the same name.
    #[error("the scope {0} appears twice")]
    Duplicate(ScopeName),
    /// A scope implies another one that does not exist.
    #[error("{scope} implies {implied}, which is not in this catalogue")]
    UnknownImplied {
        /// The scope that implies the other one.
        scope: ScopeName,
        /// The scope that is missing.
        implied: ScopeName,
    },
    /// A URI implies a scope. A token that holds a part of the pattern would hold an undefined part
    /// of the implied scope.
    #[error("{0} is a URI, and a URI can't imply scopes; use a wider pattern instead")]
    ImplyingUri(ScopeName),
}

impl Catalogue {
    /// Returns all scopes, in the order in which they are shown.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.groups.iter().flat_map(|group| &group.scopes)
    }

    /// Checks the rules that span several scopes: names are unique, every implied scope exists, and
    /// URIs imply nothing.
    pub fn check(&self) -> Result<(), CatalogueError> {
        let mut names = BTreeSet::new();
        for scope in self.scopes() {
            if !names.insert(&scope.name) {
                return Err(CatalogueError::Duplicate(scope.name.clone()));
            }
        }
        for scope in self.scopes() {
            if scope.name.is_uri() && !scope.implies.is_empty() {
                return Err(CatalogueError::ImplyingUri(scope.name.clone()));
            }
            if let Some(implied) = scope.implies.iter().find(|implied| !names.contains(implied)) {
                return Err(CatalogueError::UnknownImplied {
                    scope: scope.name.clone(),
                    implied: implied.clone(),
                });
            }
        }
        Ok(())
    }

    /// Returns whether a token of this audience can hold this scope: the catalogue contains it, or
    /// one of the catalogue's patterns covers it.
    pub fn declares(&self, name: &ScopeName) -> bool {
        self.scopes().any(|scope| scope.name.covers(name))
    }

    /// Like [`Self::declares`], for many names that share `steps`. Also returns `false` if the
    /// steps run out.
    pub fn declares_within(&self, name: &ScopeName, steps: &mut Steps) -> bool {
        self.scopes().any(|scope| steps.lend(|steps| scope.name.covers_within(name, steps)))
    }

    /// Returns `chosen` and everything that these scopes imply, directly or through other
    /// scopes. Names that the catalogue does not contain are left out, because an unknown
    /// scope grants nothing.
    pub fn closure<'a>(
        &'a self,
        chosen: impl IntoIterator<Item = &'a ScopeName>,
    ) -> BTreeSet<&'a ScopeName> {
        let scopes: BTreeMap<_, _> =
            self.scopes().map(|scope| (&scope.name, &scope.implies)).collect();
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&ScopeName> = chosen.into_iter().collect();
        while let Some(name) = waiting.pop() {
            let Some((name, implies)) = scopes.get_key_value(name) else { continue };
            if reached.insert(*name) {
                waiting.extend(implies.iter());
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(name: &str, implies: &[&str]) -> Scope {
        Scope {
            name: name.parse().unwrap(),
            description: Description::default(),
            risk: Risk::Read,
            implies: implies.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn catalogue(scopes: Vec<Scope>) -> Catalogue {
        Catalogue {
            audience: "default".parse().unwrap(),
            name: "Default".parse().unwrap(),
            description: Description::default(),
            groups: vec![ScopeGroup {
                name: "All".parse().unwrap(),
                description: Description::default(),
                scopes,
            }],
        }
    }

    #[test]
    fn closure_follows_transitive_and_cyclic_implications() {
        let catalogue = catalogue(vec![
            scope("a", &["b"]),
            scope("b", &["c"]),
            scope("c", &["a"]),
            scope("d", &[]),
        ]);
        let a: ScopeName = "a".parse().unwrap();
        let names: Vec<_> = catalogue.closure([&a]).into_iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn closure_of_an_unknown_scope_is_empty() {
        let unknown: ScopeName = "x".parse().unwrap();
        assert!(catalogue(vec![scope("a", &[])]).closure([&unknown]).is_empty());
    }

    #[test]
    fn catalogue_declares_its_names_and_every_part_of_its_patterns() {
        let catalogue =
            catalogue(vec![scope("a:read", &["table://b"]), scope("table://my.**", &[])]);
        for (name, expected) in [
            ("a:read", true),
            ("a:write", false),
            ("table://my.**", true),
            ("table://my.app.*", true),
            ("table://my.app", true),
            ("table://**", false),
            ("table://b", false),
        ] {
            assert_eq!(catalogue.declares(&name.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn uri_that_implies_a_scope_is_refused() {
        let catalogue = catalogue(vec![scope("a", &[]), scope("table://x", &["a"])]);
        assert!(matches!(catalogue.check(), Err(CatalogueError::ImplyingUri(_))));
    }

    #[test]
    fn duplicate_scope_and_unknown_implied_scope_are_refused() {
        let twins = catalogue(vec![scope("a", &[]), scope("a", &[])]);
        assert!(matches!(twins.check(), Err(CatalogueError::Duplicate(_))));
        let dangling = catalogue(vec![scope("a", &["b"])]);
        assert!(matches!(dangling.check(), Err(CatalogueError::UnknownImplied { .. })));
    }
}
