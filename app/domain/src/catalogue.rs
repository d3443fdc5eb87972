//! Audiences and the scopes that each of them knows.
//!
//! A catalogue is the whole of one audience: groups of scopes, each scope with a description, a
//! risk and the scopes that it implies. It is read from a file, stored, and shown as a tree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    names::{AudienceSlug, Description, DisplayName, NameError},
    parsed::parsed_string,
};

/// The audience of Tessera's own API: its scopes let a token manage tokens.
pub const TESSERA_AUDIENCE: &str = "tessera";
/// The audience that a new instance starts with for the API that it protects.
pub const DEFAULT_AUDIENCE: &str = "default";
/// Longest scope name, in bytes.
pub const SCOPE_MAX: usize = 128;

/// The name of one permission, such as `rivers:read`.
///
/// Parts of lower-case letters, digits, `.`, `-` and `_`, joined by `:`. Within the characters
/// that RFC 6749 section 3.3 allows a scope-token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopeName(String);
parsed_string!(ScopeName, NameError, parse_scope_name);

/// How much harm a scope can do in the wrong hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Looks.
    #[default]
    Read,
    /// Changes or starts something.
    Write,
    /// Manages access, or cannot be undone.
    Admin,
}

/// One permission of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Its name, unique in the catalogue.
    pub name: ScopeName,
    /// The access that it gives, in one sentence for the person who ticks it.
    pub description: Description,
    /// How much harm it can do.
    #[serde(default)]
    pub risk: Risk,
    /// Scopes of the same catalogue that come with it.
    #[serde(default)]
    pub implies: Vec<ScopeName>,
}

/// Scopes that belong together, such as all that concern rivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeGroup {
    /// The heading of the group.
    pub name: DisplayName,
    /// What the group is about.
    #[serde(default)]
    pub description: Description,
    /// Its scopes, in the order in which they are shown.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// An audience with everything it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The audience's name in requests.
    pub audience: AudienceSlug,
    /// The audience's name for people.
    pub name: DisplayName,
    /// What the API does.
    #[serde(default)]
    pub description: Description,
    /// Groups of scopes, in the order in which they are shown.
    #[serde(default)]
    pub groups: Vec<ScopeGroup>,
}

/// What is wrong with a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogueError {
    /// Two scopes have one name.
    #[error("the scope {0} appears twice")]
    Duplicate(ScopeName),
    /// A scope implies one that is not there.
    #[error("{scope} implies {implied}, which is not in this catalogue")]
    UnknownImplied {
        /// The scope that implies.
        scope: ScopeName,
        /// The scope that is missing.
        implied: ScopeName,
    },
}

impl Catalogue {
    /// All scopes, in the order in which they are shown.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.groups.iter().flat_map(|group| &group.scopes)
    }

    /// Checks what no single scope can know: names are unique and everything implied exists.
    pub fn check(&self) -> Result<(), CatalogueError> {
        let mut names = BTreeSet::new();
        for scope in self.scopes() {
            if !names.insert(&scope.name) {
                return Err(CatalogueError::Duplicate(scope.name.clone()));
            }
        }
        for scope in self.scopes() {
            if let Some(implied) = scope.implies.iter().find(|implied| !names.contains(implied)) {
                return Err(CatalogueError::UnknownImplied {
                    scope: scope.name.clone(),
                    implied: implied.clone(),
                });
            }
        }
        Ok(())
    }

    /// `chosen` and everything that these scopes imply, directly or through others. Names that are
    /// not in the catalogue are left out: what is not known is not granted.
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

fn parse_scope_name(text: &str) -> Result<String, NameError> {
    const FORM: NameError = NameError::Form(
        "must be parts of lower-case letters, digits, '.', '-' or '_', joined by ':', such as rivers:read",
    );
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > SCOPE_MAX {
        return Err(NameError::TooLong { max: SCOPE_MAX, actual: text.chars().count() });
    }
    let part_fits = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'.' | b'-' | b'_')
            })
    };
    if text.split(':').all(part_fits) { Ok(text.to_owned()) } else { Err(FORM) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn closure_follows_implication_through_others_and_round_circles() {
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
    fn check_finds_twins_and_dangling_implication() {
        let twins = catalogue(vec![scope("a", &[]), scope("a", &[])]);
        assert!(matches!(twins.check(), Err(CatalogueError::Duplicate(_))));
        let dangling = catalogue(vec![scope("a", &["b"])]);
        assert!(matches!(dangling.check(), Err(CatalogueError::UnknownImplied { .. })));
    }

    #[test]
    fn scope_name_with_a_space_or_capital_is_refused() {
        for bad in ["", "a b", "A", "a:", ":a", "a::b", "*", "a\0"] {
            assert!(bad.parse::<ScopeName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_any_scope_name_never_panics(text in any::<String>()) {
            let _ = text.parse::<ScopeName>();
        }
    }
}
