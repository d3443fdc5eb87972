//! The scopes that a token holds, each in one audience.
//!
//! Two APIs may use the same name for different permissions. A held scope is therefore always a
//! pair of an audience and a scope, and a grant in one audience has no effect in another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{ScopeName, TESSERA_AUDIENCE},
    names::{AudienceSlug, NameError},
};

/// The maximum number of scopes that a token may hold in all audiences together. It equals the
/// maximum for a catalogue that is read from an OpenAPI document. Older tokens may hold more.
pub const HELD_MAX: usize = 1_000;

/// The maximum total length, in bytes, of the names of the scopes that a token may hold. A scope
/// held in two audiences counts twice. The limit exists because verification responses contain
/// these names. Older tokens may hold more.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// The number of held scopes and the total length of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The number of scopes, counted separately in each audience.
    pub scopes: usize,
    /// The total length of their names, in bytes.
    pub bytes: usize,
}

impl Extent {
    /// Measures these scopes.
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a ScopeName>) -> Self {
        scopes.into_iter().fold(Self::default(), |sum, scope| Self {
            scopes: sum.scopes + 1,
            bytes: sum.bytes + scope.as_ref().len(),
        })
    }

    /// Returns an error message if this is more than a token may hold. A token that already holds
    /// more (`held`) may keep that much.
    pub fn excess(self, held: Self) -> Option<String> {
        if self.scopes > HELD_MAX.max(held.scopes) {
            Some(format!("must have at most {HELD_MAX} scopes; there are {}", self.scopes))
        } else if self.bytes > HELD_BYTES_MAX.max(held.bytes) {
            Some(format!(
                "must have scope names of at most {HELD_BYTES_MAX} bytes in total; these have {}",
                self.bytes
            ))
        } else {
            None
        }
    }
}

/// A scope of one audience. As text it is written `audience/scope`: `default/rivers:read`,
/// `apiv2/table://my.app.**`. A scope by itself never parses as a pair, because an audience's name
/// contains no colon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeldScope {
    /// The audience.
    pub audience: AudienceSlug,
    /// The scope.
    pub scope: ScopeName,
}

/// Splits the text of a pair; returns `None` if it names no audience.
pub fn split_pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('/').filter(|(audience, _)| !audience.contains(':'))
}

impl FromStr for HeldScope {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const FORM: NameError = NameError::Form(
            "must be an audience, a slash and one of its scopes, such as default/rivers:read",
        );
        let (audience, scope) = split_pair(text).ok_or(FORM)?;
        Ok(Self { audience: audience.parse()?, scope: scope.parse()? })
    }
}

impl TryFrom<String> for HeldScope {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<HeldScope> for String {
    fn from(held: HeldScope) -> Self {
        held.to_string()
    }
}

impl fmt::Display for HeldScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.audience, self.scope)
    }
}

/// Everything that a token holds. In JSON: `{"default": ["rivers:read"], "tessera": ["verify"]}`.
///
/// A token may be meant for an audience in which it holds no scope; the list of that audience is
/// then empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeldScopes(BTreeMap<AudienceSlug, BTreeSet<ScopeName>>);

impl HeldScopes {
    /// Returns the audiences.
    pub fn audiences(&self) -> impl Iterator<Item = &AudienceSlug> {
        self.0.keys()
    }

    /// Returns the scopes of all audiences, each name once: the flat view.
    pub fn scopes(&self) -> BTreeSet<&ScopeName> {
        self.0.values().flatten().collect()
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Measures all pairs.
    pub fn extent(&self) -> Extent {
        Extent::of(self.0.values().flatten())
    }

    /// Returns the audiences, each with its scopes.
    pub fn iter(&self) -> impl Iterator<Item = (&AudienceSlug, &BTreeSet<ScopeName>)> {
        self.0.iter()
    }

    /// Returns every pair.
    pub fn pairs(&self) -> impl Iterator<Item = (&AudienceSlug, &ScopeName)> {
        self.0
            .iter()
            .flat_map(|(audience, scopes)| scopes.iter().map(move |scope| (audience, scope)))
    }

    /// Returns the scopes of this audience, or `None` if the token is not meant for it.
    pub fn of(&self, audience: &AudienceSlug) -> Option<&BTreeSet<ScopeName>> {
        self.0.get(audience)
    }

    /// Returns whether exactly this pair is held.
    pub fn holds(&self, audience: &AudienceSlug, scope: &ScopeName) -> bool {
        self.of(audience).is_some_and(|scopes| scopes.contains(scope))
    }

    /// Returns whether no scope is held.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }

    /// Adds a pair.
    pub fn insert(&mut self, audience: AudienceSlug, scope: ScopeName) {
        self.0.entry(audience).or_default().insert(scope);
    }

    /// Removes a pair. The audience stays.
    pub fn remove(&mut self, audience: &AudienceSlug, scope: &ScopeName) {
        if let Some(scopes) = self.0.get_mut(audience) {
            scopes.remove(scope);
        }
    }

    /// Adds an audience, without scopes if it is new.
    pub fn insert_audience(&mut self, audience: AudienceSlug) {
        self.0.entry(audience).or_default();
    }
}

impl<S: IntoIterator<Item = ScopeName>> FromIterator<(AudienceSlug, S)> for HeldScopes {
    fn from_iter<T: IntoIterator<Item = (AudienceSlug, S)>>(audiences: T) -> Self {
        let mut held = Self::default();
        for (audience, scopes) in audiences {
            held.0.entry(audience).or_default().extend(scopes);
        }
        held
    }
}

/// The result of reading a list of audiences and a list of scopes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Each scope in every audience that declares it.
    pub held: HeldScopes,
    /// Scopes that both `tessera` and another of the audiences declare. They are held in
    /// the other audiences but not in `tessera`, because the caller did not ask for scopes
    /// that manage tokens.
    pub ambiguous: Vec<ScopeName>,
    /// Scopes that none of the audiences declares; they are held in none.
    pub undeclared: Vec<ScopeName>,
}

/// Combines separate lists of audiences and scopes into pairs.
pub fn read_flat(
    audiences: &[AudienceSlug],
    scopes: &[ScopeName],
    declares: impl Fn(&AudienceSlug, &ScopeName) -> bool,
) -> Read {
    let mut read = Read::default();
    for audience in audiences {
        read.held.insert_audience(audience.clone());
    }
    for scope in scopes {
        let fitting: BTreeSet<&AudienceSlug> =
            audiences.iter().filter(|audience| declares(audience, scope)).collect();
        let others = fitting.iter().filter(|audience| !is_tessera(audience)).count();
        if fitting.is_empty() {
            read.undeclared.push(scope.clone());
        } else if others > 0 && others < fitting.len() {
            read.ambiguous.push(scope.clone());
        }
        for audience in fitting {
            if others == 0 || !is_tessera(audience) {
                read.held.insert(audience.clone(), scope.clone());
            }
        }
    }
    read
}

fn is_tessera(audience: &AudienceSlug) -> bool {
    audience.as_ref() == TESSERA_AUDIENCE
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    const AUDIENCES: [&str; 3] = ["default", "tessera", "vault"];
    const SCOPES: [&str; 4] = ["a:read", "tokens:write", "verify", "table://x.**"];
    const DECLARED: [(&str, &str); 6] = [
        ("default", "a:read"),
        ("default", "table://x.**"),
        ("tessera", "tokens:write"),
        ("tessera", "verify"),
        ("vault", "tokens:write"),
        ("vault", "table://x.**"),
    ];

    fn parse<T: FromStr<Err: fmt::Debug>>(texts: &[&str]) -> Vec<T> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn read(audiences: &[&str], scopes: &[&str]) -> Read {
        read_flat(&parse(audiences), &parse(scopes), |audience, scope| {
            DECLARED.contains(&(audience.as_ref(), scope.as_ref()))
        })
    }

    #[test]
    fn pair_is_an_audience_and_one_of_its_scopes() {
        for good in ["default/rivers:read", "apiv2/table://my.app.**", "a/b", "a/table://b/c:d"] {
            assert_eq!(good.parse::<HeldScope>().unwrap().to_string(), good);
        }
        for bad in ["", "/", "a/", "/a", "rivers:read", "table://a", "a:b/c", "A/b", "a/b/c", "a/B"]
        {
            assert!(bad.parse::<HeldScope>().is_err(), "{bad}");
        }
    }

    #[test]
    fn json_has_a_list_for_each_audience() {
        let json = r#"{"default":["a:read"],"vault":[]}"#;
        let held: HeldScopes = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&held).unwrap(), json);
        assert!(serde_json::from_str::<HeldScopes>(r#"{"A":[]}"#).is_err());
        assert!(serde_json::from_str::<HeldScopes>(r#"{"a":["B"]}"#).is_err());
    }

    #[test]
    fn flat_scope_is_held_in_every_audience_that_declares_it() {
        let read = read(&["default", "vault"], &["a:read", "table://x.**"]);
        let json = serde_json::to_value(&read.held).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"default": ["a:read", "table://x.**"], "vault": ["table://x.**"]})
        );
        assert!(read.ambiguous.is_empty() && read.undeclared.is_empty());
    }

    #[test]
    fn scope_declared_by_tessera_and_another_audience_is_ambiguous() {
        let read = read(&["tessera", "vault"], &["tokens:write", "verify", "a:read"]);
        let json = serde_json::to_value(&read.held).unwrap();
        assert_eq!(json, serde_json::json!({"tessera": ["verify"], "vault": ["tokens:write"]}));
        assert_eq!(read.ambiguous, parse(&["tokens:write"]));
        assert_eq!(read.undeclared, parse(&["a:read"]));
    }

    #[test]
    fn excess_begins_above_the_limit_or_above_what_the_token_already_holds() {
        let extent = |scopes, bytes| Extent { scopes, bytes };
        let none = Extent::default();
        assert_eq!(extent(HELD_MAX, HELD_BYTES_MAX).excess(none), None);
        let many = extent(HELD_MAX + 1, 1).excess(none).unwrap();
        assert_eq!(many, "must have at most 1000 scopes; there are 1001");
        let long = extent(2, HELD_BYTES_MAX + 1).excess(none).unwrap();
        assert!(long.contains("at most 65536 bytes in total; these have 65537"), "{long}");
        let older = extent(2_000, 100_000);
        assert_eq!(older.excess(older), None);
        assert!(extent(2_001, 1).excess(older).is_some());
        assert!(extent(1, 100_001).excess(older).is_some());
    }

    #[test]
    fn scope_of_two_audiences_counts_twice() {
        let held: HeldScopes = serde_json::from_str(r#"{"a":["x:y","z"],"b":["x:y"]}"#).unwrap();
        assert_eq!(held.extent(), Extent { scopes: 3, bytes: 7 });
    }

    proptest! {
        #[test]
        fn parsing_any_pair_never_panics_and_is_stable(text in any::<String>(), pair in "[a-z:/.*]{1,12}") {
            for text in [text, pair] {
                if let Ok(held) = text.parse::<HeldScope>() {
                    prop_assert_eq!(held.to_string().parse::<HeldScope>().unwrap(), held.clone());
                    prop_assert!(text.parse::<ScopeName>().is_err(), "{}", text);
                }
            }
        }

        #[test]
        fn flat_lists_become_declared_pairs_and_every_other_scope_is_reported(
            audiences in subsequence(AUDIENCES.to_vec(), 0..=3),
            scopes in subsequence(SCOPES.to_vec(), 0..=4),
        ) {
            let read = read(&audiences, &scopes);
            prop_assert!(read.held.audiences().map(AsRef::as_ref).eq(audiences.iter().copied()));
            for (audience, scope) in read.held.pairs() {
                prop_assert!(DECLARED.contains(&(audience.as_ref(), scope.as_ref())));
            }
            for (audience, scope) in DECLARED {
                if audiences.contains(&audience) && scopes.contains(&scope) {
                    let held = read.held.holds(&audience.parse().unwrap(), &scope.parse().unwrap());
                    let dropped = read.ambiguous.contains(&scope.parse().unwrap());
                    prop_assert_eq!(held, !(audience == "tessera" && dropped));
                }
            }
            let flat = read.held.scopes();
            for scope in parse::<ScopeName>(&scopes) {
                prop_assert!(flat.contains(&scope) != read.undeclared.contains(&scope));
            }
        }
    }
}
