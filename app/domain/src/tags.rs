//! Tags: notes that people and programs put on a token, such as `team: payments`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The maximum number of tags of a token.
pub const TAGS_MAX: usize = 32;
/// The maximum length of a key, in characters.
pub const TAG_KEY_MAX: usize = 64;
/// The maximum length of a value, in characters.
pub const TAG_VALUE_MAX: usize = 256;

/// Keys with their values, in the order of the keys. A key cannot be empty, a value can. Neither
/// contains control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Tags(BTreeMap<String, String>);

/// The reason why a set of tags is invalid, as the end of a sentence. It repeats at most one key,
/// and no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TagsError {
    /// There are more pairs than the limit.
    #[error("must have at most {TAGS_MAX} pairs; there are {0}")]
    TooMany(usize),
    /// A key is empty, is too long, starts or ends with white space, or
    /// contains control characters.
    #[error(
        "must have keys of 1 to {TAG_KEY_MAX} characters, without control characters or leading or trailing spaces"
    )]
    Key,
    /// A value is too long or contains control characters.
    #[error(
        "must have values of at most {TAG_VALUE_MAX} characters, without control characters; that of {0:?} is invalid"
    )]
    Value(String),
}

impl Tags {
    /// Returns the pairs, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns whether there are no tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = TagsError;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        if pairs.len() > TAGS_MAX {
            return Err(TagsError::TooMany(pairs.len()));
        }
        for (key, value) in &pairs {
            let key_fits = !key.is_empty() && key.trim() == key && fits(key, TAG_KEY_MAX);
            if !key_fits {
                return Err(TagsError::Key);
            }
            if !fits(value, TAG_VALUE_MAX) {
                return Err(TagsError::Value(key.clone()));
            }
        }
        Ok(Self(pairs))
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

fn fits(text: &str, max: usize) -> bool {
    text.chars().count() <= max && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Result<Tags, TagsError> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        pairs.collect::<BTreeMap<_, _>>().try_into()
    }

    #[test]
    fn tags_at_the_limits_are_accepted_and_beyond_them_refused() {
        let (key, value) = ("é".repeat(TAG_KEY_MAX), "é".repeat(TAG_VALUE_MAX));
        assert!(tags(&[(&key, &value), ("team", "")]).is_ok());
        assert_eq!(tags(&[(&format!("{key}x"), "")]), Err(TagsError::Key));
        assert_eq!(tags(&[("k", &format!("{value}x"))]), Err(TagsError::Value("k".into())));
        for key in ["", " ", " a", "a\n", "a\0b"] {
            assert_eq!(tags(&[(key, "x")]), Err(TagsError::Key), "{key:?}");
        }
        assert_eq!(tags(&[("a", "\0")]), Err(TagsError::Value("a".into())));
        let many = |count: usize| {
            (0..count).map(|number| (number.to_string(), String::new())).collect::<BTreeMap<_, _>>()
        };
        assert!(Tags::try_from(many(TAGS_MAX)).is_ok());
        assert_eq!(Tags::try_from(many(TAGS_MAX + 1)), Err(TagsError::TooMany(TAGS_MAX + 1)));
    }

    proptest! {
        #[test]
        fn any_tags_are_refused_or_survive_a_round_trip(
            pairs in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        ) {
            if let Ok(tags) = Tags::try_from(pairs.clone()) {
                let json = serde_json::to_string(&tags).unwrap();
                prop_assert_eq!(serde_json::from_str::<Tags>(&json).unwrap(), tags);
                prop_assert!(pairs.keys().all(|key| !key.contains('\0')));
            }
        }
    }
}
