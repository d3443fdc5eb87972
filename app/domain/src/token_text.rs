//! The text of a token: `<prefix>_<30 base62 characters><6 base62 characters of CRC-32>`.
//!
//! The checksum covers everything before it. It distinguishes a typing error from an unknown
//! token without a database query, and lets secret scanners distinguish tokens from
//! look-alikes. It is not a security control: anyone can compute it. The 30 random characters
//! have 178 bits of entropy.

use thiserror::Error;

/// The number of characters of the random part.
pub const RANDOM_LENGTH: usize = 30;
/// The number of characters of the checksum.
pub const CHECKSUM_LENGTH: usize = 6;
/// The maximum length of a prefix.
pub const PREFIX_MAX: usize = 16;
/// The prefix of a workspace that has not chosen one.
pub const DEFAULT_PREFIX: &str = "tsr";
/// A regular expression that finds every token with the default prefix.
pub const LEAK_PATTERN: &str = r"\btsr_[0-9A-Za-z]{36}\b";

/// The digits of base62, in the order of their values.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The reason why a text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The text does not have the form prefix, underscore, 36 letters and digits.
    #[error("this text doesn't have the format of a token")]
    Form,
    /// The form is right but the checksum is wrong: the text was mistyped or copied incorrectly.
    #[error("the token's checksum doesn't match: the token was mistyped or damaged")]
    Checksum,
}

/// Composes a token's text from its prefix and its random part.
///
/// `random` must be [`RANDOM_LENGTH`] characters of [`ALPHABET`].
pub fn compose(prefix: &str, random: &str) -> String {
    debug_assert_eq!(random.len(), RANDOM_LENGTH);
    let mut text = format!("{prefix}_{random}");
    let checksum = checksum(text.as_bytes());
    text.extend(checksum.map(char::from));
    text
}

/// Checks the form and the checksum. A text that passes may be looked up; it need not exist.
pub fn check(text: &str) -> Result<(), Malformed> {
    let bytes = text.as_bytes();
    let body = RANDOM_LENGTH + CHECKSUM_LENGTH;
    let underscore = bytes.len().checked_sub(body + 1).ok_or(Malformed::Form)?;
    // Slices bytes because slicing a `str` would panic inside a multi-byte character.
    let (prefix, rest) = bytes.split_at(underscore);
    let (separator, body) = rest.split_at(1);
    let fits =
        is_prefix_bytes(prefix) && separator == b"_" && body.iter().all(u8::is_ascii_alphanumeric);
    if !fits {
        return Err(Malformed::Form);
    }
    let (covered, given) = bytes.split_at(bytes.len() - CHECKSUM_LENGTH);
    if checksum(covered) == given { Ok(()) } else { Err(Malformed::Checksum) }
}

/// Returns the part of a token's text that lists show: its prefix and its last four characters.
pub fn hint(text: &str) -> String {
    let prefix = text.split('_').next().unwrap_or_default();
    let tail = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
    format!("{prefix}_…{tail}")
}

/// Returns whether `text` may be a prefix: 1 to 16 lower-case letters and digits, starting
/// with a letter.
pub fn is_prefix(text: &str) -> bool {
    is_prefix_bytes(text.as_bytes())
}

fn is_prefix_bytes(bytes: &[u8]) -> bool {
    bytes.len() <= PREFIX_MAX
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn checksum(covered: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(covered);
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANDOM: &str = "abcdefghijklmnopqrstuvwxyz0123";

    #[test]
    fn composed_text_passes_its_own_check() {
        let text = compose("tsr", RANDOM);
        assert_eq!(text.len(), 40);
        assert_eq!(check(&text), Ok(()));
        assert_eq!(hint(&text), format!("tsr_…{}", &text[36..]));
    }

    #[test]
    fn text_of_another_form_is_malformed() {
        for text in ["", "tsr", "tsr_", "Bearer x", "_abcdefghijklmnopqrstuvwxyz0123456789", "é"] {
            assert_eq!(check(text), Err(Malformed::Form), "{text}");
        }
        let upper = compose("tsr", RANDOM).replace("tsr", "TSR");
        assert_eq!(check(&upper), Err(Malformed::Form));
    }

    proptest! {
        #[test]
        fn checking_any_text_never_panics(text in any::<String>()) {
            let _ = check(&text);
            let _ = hint(&text);
        }

        #[test]
        fn every_single_typing_error_is_detected(
            prefix in "[a-z][a-z0-9]{0,15}",
            random in "[0-9A-Za-z]{30}",
            position in 0usize..36,
            replacement in "[0-9A-Za-z]",
        ) {
            let text = compose(&prefix, &random);
            prop_assert_eq!(check(&text), Ok(()));
            let at = prefix.len() + 1 + position;
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, &replacement);
            if wrong != text {
                prop_assert_eq!(check(&wrong), Err(Malformed::Checksum));
            }
        }
    }
}
