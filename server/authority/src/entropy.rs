//! Randomness, as an argument.

use domain::token_text::{ALPHABET, RANDOM_LENGTH};
use time::OffsetDateTime;
use uuid::Uuid;

/// A source of random bytes. Tests supply their own.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads random bytes from the operating system"
    )]
    #[expect(clippy::expect_used, reason = "nothing here can safely continue without randomness")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system returns random bytes");
    }
}

/// Returns `N` random bytes.
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut buffer = [0; N];
    entropy.fill(&mut buffer);
    buffer
}

/// Returns a UUID of version 7 (RFC 9562 section 5.7) for this time.
pub fn uuid(entropy: &dyn Entropy, now: OffsetDateTime) -> Uuid {
    let milliseconds = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &bytes(entropy)).into_uuid()
}

/// Returns the random part of a token: 30 characters of base62, each equally likely.
pub(crate) fn token_random(entropy: &dyn Entropy) -> String {
    let mut text = String::with_capacity(RANDOM_LENGTH);
    while text.len() < RANDOM_LENGTH {
        for byte in bytes::<48>(entropy) {
            // 248 is the largest multiple of 62 in a byte: larger values would favour some
            // characters.
            if byte < 248 && text.len() < RANDOM_LENGTH {
                text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use time::macros::datetime;

    use super::*;

    #[test]
    fn token_random_uses_every_character_about_equally() {
        let mut counts = HashMap::new();
        for _ in 0..2_000 {
            let text = token_random(&SystemEntropy);
            assert_eq!(text.len(), RANDOM_LENGTH);
            for character in text.chars() {
                *counts.entry(character).or_insert(0_u32) += 1;
            }
        }
        assert_eq!(counts.len(), 62);
        // 60,000 characters, 968 expected of each, standard deviation 31: six deviations never
        // occur.
        assert!(counts.values().all(|count| (780..1_160).contains(count)), "{counts:?}");
    }

    #[test]
    fn uuid_has_version_7_and_is_ordered_by_time() {
        let earlier = uuid(&SystemEntropy, datetime!(2026-01-01 00:00 UTC));
        let later = uuid(&SystemEntropy, datetime!(2026-01-01 00:00:01 UTC));
        assert_eq!(earlier.get_version_num(), 7);
        assert!(earlier < later);
    }
}
