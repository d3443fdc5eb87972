//! The text of one scope.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    names::NameError,
    parsed::parsed_string,
    scope_pattern::{self, Steps, URI_MAX},
};

/// The maximum length of an exact name, in bytes.
pub const SCOPE_MAX: usize = 128;

/// A scope, in one of two forms:
///
/// - an exact name such as `rivers:read`: parts of lower-case letters, digits, `.`, `-` and `_`,
///   joined by `:`, up to 128 bytes;
/// - a URI pattern such as `table://my.app.**`: a scheme and the text after it, up to 512 bytes.
///   The wildcards `?`, `*` and `**` match other characters (see [`crate::scope_pattern`]). A URI
///   without wildcards matches only itself.
///
/// Both are scope-tokens of RFC 6749 section 3.3: visible ASCII without `"` and `\`. Two spellings
/// of the same pattern are the same scope: the scheme is normalized to lower case, and three or
/// more asterisks to two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopeName(String);
parsed_string!(ScopeName, NameError, parse);

impl ScopeName {
    /// Returns whether this is a URI or a URI pattern, as opposed to an exact name.
    pub fn is_uri(&self) -> bool {
        // A scheme contains no colon, and an exact name contains no slash.
        self.0.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//"))
    }

    /// Returns the scheme and `://`, which all URIs that this scope matches begin with.
    pub fn scheme(&self) -> Option<&str> {
        self.0.find("://").map(|colon| &self.0[..colon + 3])
    }

    /// Returns whether this scope includes all of `required`, judged only by the names. An exact
    /// name includes itself. A pattern includes another one if it matches every URI that the other
    /// one matches. Scopes that a catalogue implies are not considered here.
    pub fn covers(&self, required: &Self) -> bool {
        match (self.is_uri(), required.is_uri()) {
            (true, true) => scope_pattern::covers(&self.0, &required.0),
            (false, false) => self.0 == required.0,
            _ => false,
        }
    }

    /// Like [`Self::covers`], for many comparisons that share `steps`. Also returns `false` if the
    /// steps run out.
    pub fn covers_within(&self, required: &Self, steps: &mut Steps) -> bool {
        if required.is_uri() {
            scope_pattern::covers_within(&self.0, &required.0, steps)
        } else {
            steps.take(1) && self.0 == required.0
        }
    }
}

fn parse(text: &str) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    match text.split_once("://") {
        Some((scheme, rest)) => parse_uri(text, scheme, rest),
        None => parse_exact(text),
    }
}

fn parse_exact(text: &str) -> Result<String, NameError> {
    const FORM: NameError = NameError::Form(
        "must be words of lowercase letters, digits, '.', '-' or '_' joined by ':', such as rivers:read, or a URI such as table://my.app.**",
    );
    check_length(text, SCOPE_MAX)?;
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

fn parse_uri(text: &str, scheme: &str, rest: &str) -> Result<String, NameError> {
    const SCHEME: NameError =
        NameError::Form("must start with a scheme such as table://, which has no wildcards");
    const FORM: NameError = NameError::Form(
        "must contain only visible ASCII characters after ://, other than '\"' and '\\'",
    );
    check_length(text, URI_MAX)?;
    // RFC 3986 section 3.1.
    let scheme_fits = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'));
    if !scheme_fits {
        return Err(SCHEME);
    }
    let rest_fits = !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    if !rest_fits {
        return Err(FORM);
    }
    let mut rest = Cow::Borrowed(rest);
    while rest.contains("***") {
        rest = Cow::Owned(rest.replace("***", "**"));
    }
    Ok(format!("{}://{rest}", scheme.to_ascii_lowercase()))
}

fn check_length(text: &str, max: usize) -> Result<(), NameError> {
    if text.len() > max {
        Err(NameError::TooLong { max, actual: text.chars().count() })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ScopeName {
        text.parse().unwrap()
    }

    #[test]
    fn exact_name_with_a_space_or_capital_is_refused() {
        for bad in ["", "a b", "A", "a:", ":a", "a::b", "*", "a*", "a?", "a/b", "a:/b", "a\0"] {
            assert!(bad.parse::<ScopeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn uri_needs_a_scheme_and_visible_characters() {
        for bad in [
            "://x", "a://", "*://x", "1a://x", "a b://x", "a://b c", "a://é", "a://\"", "a://\\",
            "a://\n", "é://x", "a:b://x",
        ] {
            assert!(bad.parse::<ScopeName>().is_err(), "{bad}");
        }
        for good in
            ["table://my.app.**", "level://admin", "table://*.**", "a+b-c.d://?", "a://b://c"]
        {
            assert_eq!(name(good).as_ref(), good);
        }
    }

    #[test]
    fn spellings_of_one_pattern_are_one_scope() {
        assert_eq!(name("TABLE://My.App.*****"), name("table://My.App.**"));
        assert_ne!(name("table://my.app.*"), name("table://My.app.*"));
    }

    #[test]
    fn lengths_are_bounded() {
        assert!("a".repeat(128).parse::<ScopeName>().is_ok());
        assert!("a".repeat(129).parse::<ScopeName>().is_err());
        let uri = |length: usize| format!("a://{}", "b".repeat(length - 4));
        assert!(uri(512).parse::<ScopeName>().is_ok());
        assert!(uri(513).parse::<ScopeName>().is_err());
    }

    #[test]
    fn exact_name_covers_only_itself() {
        assert!(name("rivers:read").covers(&name("rivers:read")));
        assert!(!name("rivers:read").covers(&name("rivers:run")));
        assert!(!name("table://**").covers(&name("rivers:read")));
        assert!(!name("rivers:read").covers(&name("table://a")));
        assert!(name("table://**").covers(&name("table://a.b")));
        assert!(!name("table://**").covers(&name("level://a")));
        assert_eq!(name("table://a.**").scheme(), Some("table://"));
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics_and_is_stable(text in any::<String>()) {
            if let Ok(name) = text.parse::<ScopeName>() {
                prop_assert_eq!(name.as_ref().parse::<ScopeName>().unwrap(), name);
            }
        }

        #[test]
        fn parsed_uri_is_a_scope_token_and_is_stable(text in "[A-Za-z]{1,3}://[ -~*?.]{1,12}") {
            if let Ok(name) = text.parse::<ScopeName>() {
                prop_assert_eq!(name.as_ref().parse::<ScopeName>().unwrap(), name.clone());
                prop_assert!(name.is_uri());
                prop_assert!(!name.as_ref().contains([' ', '"', '\\']));
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<ScopeName>(&json).unwrap(), name);
            }
        }
    }
}
