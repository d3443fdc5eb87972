//! Names that people and programs choose.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;

use crate::parsed::parsed_string;

/// The maximum length of a token name, in characters.
pub const TOKEN_NAME_MAX: usize = 128;
/// The maximum length of a description, in characters.
pub const DESCRIPTION_MAX: usize = 1_000;
/// The maximum length of an e-mail address, in characters. RFC 5321 section 4.5.3.1.3 sets the
/// limit in octets; its angle brackets are not counted here.
pub const EMAIL_MAX: usize = 254;
/// The maximum length of a workspace slug, in bytes.
pub const SLUG_MAX: usize = 127;
/// The maximum length of an audience slug, in bytes.
pub const AUDIENCE_MAX: usize = 63;
/// The maximum length of the display name of a person, an organisation or a
/// workspace, in characters.
pub const DISPLAY_NAME_MAX: usize = 100;

/// The reason why a name is invalid, worded for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The name contains only white space.
    #[error("must not be empty")]
    Empty,
    /// The name has more characters than the limit.
    #[error("must have at most {max} characters; this has {actual}")]
    TooLong {
        /// The limit.
        max: usize,
        /// The actual number of characters.
        actual: usize,
    },
    /// The name contains a control character or one that reorders the text around it.
    #[error("must not contain the character U+{0:04X}")]
    Character(u32),
    /// The name does not have the form that this kind of name requires.
    #[error("{0}")]
    Form(&'static str),
}

/// The name of a token: 1 to 128 characters on one line, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenName(String);
parsed_string!(TokenName, NameError, parse_token_name);

/// The purpose of a token: up to 1,000 characters, line breaks allowed; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);
parsed_string!(Description, NameError, parse_description);

/// The name of a person, an organisation or a workspace: 1 to 100 characters on one line, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);
parsed_string!(DisplayName, NameError, parse_display_name);

/// An e-mail address in lower case and in Unicode normalization form C, so that two spellings that
/// look the same are equal.
///
/// Only the outline is checked: one `@`, a dot-atom or anything printable before it, a host name
/// after it. Only the mail system can determine whether the address exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);
parsed_string!(Email, NameError, parse_email);

/// A workspace's name in URLs: `workspace-1`, or `child@parent`.
///
/// It consists of lower-case letters, digits, `.`, `-` and `_`, and starts with a letter or digit.
/// At most one `@` may separate two such parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);
parsed_string!(Slug, NameError, parse_slug);

/// An audience's name in requests: `default`, `apiv2-admin`. It has the form of a workspace slug
/// without `@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AudienceSlug(String);
parsed_string!(AudienceSlug, NameError, parse_audience);

/// An address as it was typed, used to find its user. It also finds users of version 0.1, which
/// stored addresses in other Unicode forms and with invisible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenEmail {
    /// The text in lower case, as version 0.1 stored it.
    pub exact: String,
    /// The address, if the text is a valid one.
    pub email: Option<Email>,
}

impl WrittenEmail {
    /// Reads an address. Returns `None` for text that no version accepted as an address.
    pub fn read(text: &str) -> Option<Self> {
        let exact = text.trim().to_lowercase();
        let fits = exact.contains('@')
            && exact.chars().count() <= EMAIL_MAX
            && !exact.contains(char::is_control);
        fits.then(|| Self { exact, email: text.parse().ok() })
    }
}

/// Returns the form of an address that is equal for two addresses that look the same. For
/// an [`Email`] that is the address itself; for an address of version 0.1, invisible
/// characters are removed.
pub fn email_key(text: &str) -> String {
    let seen = text.trim().chars().filter(|character| !is_invisible(*character));
    let text: String = seen.nfc().collect();
    text.to_lowercase().nfc().collect()
}

impl Slug {
    /// Returns the slug that a display name suggests: `workspace-1` for `Workspace 1`. Returns
    /// `None` if the name contains no ASCII letter or digit.
    pub fn suggested_by(name: &str) -> Option<Self> {
        let mut text = String::with_capacity(name.len());
        for character in name.chars() {
            if character.is_ascii_alphanumeric() {
                text.push(character.to_ascii_lowercase());
            } else if !text.is_empty() && !text.ends_with('-') {
                text.push('-');
            }
        }
        text.truncate(60);
        text.trim_end_matches('-').parse().ok()
    }
}

fn parse_token_name(text: &str) -> Result<String, NameError> {
    parse_line(text, TOKEN_NAME_MAX)
}

fn parse_display_name(text: &str) -> Result<String, NameError> {
    parse_line(text, DISPLAY_NAME_MAX)
}

fn parse_line(text: &str, max: usize) -> Result<String, NameError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    check_length(text, max)?;
    check_characters(text, |_| false)?;
    if text.chars().all(|character| character.is_whitespace() || is_invisible(character)) {
        return Err(NameError::Form("must contain at least one visible character"));
    }
    Ok(text.to_owned())
}

fn parse_description(text: &str) -> Result<String, NameError> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    check_length(text, DESCRIPTION_MAX)?;
    check_characters(text, |character| matches!(character, '\n' | '\t'))?;
    Ok(text.to_owned())
}

fn parse_email(text: &str) -> Result<String, NameError> {
    const FORM: NameError = NameError::Form("must be an e-mail address such as ada@example.com");
    let text: String = text.trim().nfc().collect();
    let text: String = text.to_lowercase().nfc().collect();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    check_length(&text, EMAIL_MAX)?;
    check_characters(&text, |_| false)?;
    if let Some(character) = text.chars().find(|character| is_invisible(*character)) {
        return Err(NameError::Character(character.into()));
    }
    let (local, host) = text.rsplit_once('@').ok_or(FORM)?;
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && !local.contains(|character: char| character.is_whitespace() || character == '@');
    let host_fits = !host.is_empty()
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|character| character.is_alphanumeric() || character == '-')
        });
    if local_fits && host_fits { Ok(text) } else { Err(FORM) }
}

fn parse_slug(text: &str) -> Result<String, NameError> {
    const FORM: NameError = NameError::Form(
        "must consist of lowercase letters, digits, '.', '-' or '_' and start with a letter or digit, such as workspace-1 or child@parent",
    );
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    check_length(text, SLUG_MAX)?;
    let fits = match text.split_once('@') {
        Some((child, parent)) => is_label(child) && is_label(parent),
        None => is_label(text),
    };
    if fits { Ok(text.to_owned()) } else { Err(FORM) }
}

fn parse_audience(text: &str) -> Result<String, NameError> {
    const FORM: NameError = NameError::Form(
        "must consist of lowercase letters, digits, '.', '-' or '_' and start with a letter or digit",
    );
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    check_length(text, AUDIENCE_MAX)?;
    if is_label(text) { Ok(text.to_owned()) } else { Err(FORM) }
}

fn is_label(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.chars().all(|character| {
            character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || matches!(character, '.' | '-' | '_')
        })
}

fn check_length(text: &str, max: usize) -> Result<(), NameError> {
    let actual = text.chars().count();
    if actual > max { Err(NameError::TooLong { max, actual }) } else { Ok(()) }
}

/// Refuses control characters, which break logs, headers and terminals, and the explicit
/// bidirectional controls, which make a name read as another one (Unicode TR 36 section 2.5).
/// Right-to-left letters themselves are allowed.
fn check_characters(text: &str, also: impl Fn(char) -> bool) -> Result<(), NameError> {
    let refused = |character: &char| {
        (character.is_control() && !also(*character))
            || matches!(*character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
            || matches!(*character, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
    };
    match text.chars().find(refused) {
        Some(character) => Err(NameError::Character(character.into())),
        None => Ok(()),
    }
}

/// Returns whether a character is invisible by itself: it joins or separates other characters, or
/// is a blank that does not count as white space. Names may contain such characters between others.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn token_name_of_emoji_and_hebrew_is_kept_and_trimmed() {
        let name: TokenName = "  🚀 שלום  ".parse().unwrap();
        assert_eq!(name.as_ref(), "🚀 שלום");
    }

    #[test]
    fn token_name_with_nul_or_override_is_refused() {
        assert_eq!("a\0b".parse::<TokenName>(), Err(NameError::Character(0)));
        assert_eq!("a\u{202E}b".parse::<TokenName>(), Err(NameError::Character(0x202E)));
        assert_eq!("a\nb".parse::<TokenName>(), Err(NameError::Character(10)));
    }

    #[test]
    fn token_name_of_10_000_characters_is_refused_with_the_limit() {
        let error = "x".repeat(10_000).parse::<TokenName>().unwrap_err();
        assert_eq!(error.to_string(), "must have at most 128 characters; this has 10000");
    }

    #[test]
    fn slug_may_contain_an_at_sign() {
        assert!("child@parent".parse::<Slug>().is_ok());
        for bad in ["", "@", "a@", "@b", "a@b@c", "A", "a b", "-a", "a/b", "../x", "é"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn slug_suggested_by_the_first_workspace_is_workspace_1() {
        assert_eq!(Slug::suggested_by("Workspace 1").unwrap().as_ref(), "workspace-1");
        assert_eq!(Slug::suggested_by("שלום"), None);
    }

    #[test]
    fn email_is_lower_cased_and_checked() {
        assert_eq!(" Ada@Example.COM ".parse::<Email>().unwrap().as_ref(), "ada@example.com");
        for bad in ["ada", "@x", "a@", "a b@x", "a@b..c", "a@-b", "a\0@b"] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
        assert!("root@localhost".parse::<Email>().is_ok());
    }

    #[test]
    fn email_addresses_that_look_the_same_are_equal() {
        let composed: Email = "zo\u{e9}@example.com".parse().unwrap();
        assert_eq!("ZOE\u{301}@example.com".parse::<Email>().unwrap(), composed);
        for hidden in ['\u{200B}', '\u{200D}', '\u{AD}', '\u{2060}', '\u{FE0F}', '\u{E0041}'] {
            let refused = format!("zo\u{e9}{hidden}@example.com").parse::<Email>();
            assert_eq!(refused, Err(NameError::Character(hidden.into())));
        }
    }

    #[test]
    fn email_addresses_of_version_0_1_are_read_in_stored_and_normalised_form() {
        for kept in
            ["zoe\u{301}@example.com", "zo\u{e9}\u{200B}@example.com", "Zo\u{e9}@example.com"]
        {
            assert_eq!(email_key(kept), "zo\u{e9}@example.com");
            assert_eq!(WrittenEmail::read(kept).unwrap().exact, kept.to_lowercase());
        }
        assert!(WrittenEmail::read("zoe\u{301}@example.com").unwrap().email.is_some());
        assert!(WrittenEmail::read("zoe\u{200B}@example.com").unwrap().email.is_none());
        for text in ["", "zoe", "a\0@b"] {
            assert_eq!(WrittenEmail::read(text), None);
        }
    }

    #[test]
    fn name_without_a_visible_character_is_refused() {
        for hidden in ["\u{200B}", "\u{2800}", "\u{3164} \u{AD}", "\u{200D}\u{FE0F}"] {
            assert!(matches!(hidden.parse::<DisplayName>(), Err(NameError::Form(_))), "{hidden:?}");
            assert!(matches!(hidden.parse::<TokenName>(), Err(NameError::Form(_))), "{hidden:?}");
        }
        assert!("👩\u{200D}💻".parse::<DisplayName>().is_ok());
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics_and_is_stable(text in any::<String>()) {
            if let Ok(name) = text.parse::<TokenName>() {
                prop_assert_eq!(name.as_ref().parse::<TokenName>().unwrap(), name.clone());
                prop_assert!(!name.as_ref().contains('\0'));
            }
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_ref().parse::<Email>().unwrap(), email.clone());
                prop_assert_eq!(email_key(email.as_ref()), email.as_ref());
            }
            let _ = text.parse::<Description>();
            let _ = text.parse::<Slug>();
            let _ = text.parse::<AudienceSlug>();
        }

        #[test]
        fn suggested_slug_is_always_a_slug(text in any::<String>()) {
            if let Some(slug) = Slug::suggested_by(&text) {
                prop_assert!(slug.as_ref().parse::<Slug>().is_ok());
            }
        }
    }
}
