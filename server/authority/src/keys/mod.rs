//! The keys that protect secrets in the database, by purpose and version.
//!
//! They live outside the database (`keys.toml`, mode 0600, or given by configuration), so that a
//! stolen dump reveals no token. Every replica needs the same file. For each purpose, the newest
//! key is used for new data; older keys still find, open or verify the data that they produced.
//!
//! | purpose | use |
//! |---|---|
//! | pepper | digests of secrets (HMAC-SHA-256), names of what must not be stored |
//! | sealing | seals what must be shown again (`seal`) |
//! | audit | chains the audit log (HMAC-SHA-256) |

mod file;
mod seal;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::entropy::{self, Entropy};

pub use self::file::{KeysError, completed};
pub(crate) use self::seal::{Sealed, Unsealable};

const KEY_LENGTH: usize = 32;

/// All keys of an instance.
pub struct Keys {
    peppers: Ring,
    sealing: Ring,
    audit: Ring,
}

/// The keys of one purpose: newest first, never empty.
struct Ring(Vec<Key>);

#[derive(Zeroize, ZeroizeOnDrop)]
struct Key {
    version: i16,
    key: [u8; KEY_LENGTH],
}

/// A digest as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest {
    pub(crate) bytes: [u8; 32],
    pub(crate) pepper_version: i16,
}

impl Keys {
    /// Generates new keys, all of version 1.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self {
            peppers: Ring::generate(entropy),
            sealing: Ring::generate(entropy),
            audit: Ring::generate(entropy),
        }
    }

    /// Returns the digest to store for a new token's text.
    pub(crate) fn digest(&self, text: &str) -> Digest {
        self.digest_of_sha256(&Sha256::digest(text).into())
    }

    /// Returns the digest to store for a text of which only the SHA-256 is known: tokens that
    /// another system issued.
    pub(crate) fn digest_of_sha256(&self, inner: &[u8; 32]) -> Digest {
        self.peppers.newest().digest(inner)
    }

    /// Returns the digests under which a presented text may be stored: one for each pepper.
    pub(crate) fn digests(&self, text: &str) -> Vec<Digest> {
        self.digests_of_sha256(&Sha256::digest(text).into())
    }

    /// Returns the same for a text of which only the SHA-256 is known.
    pub(crate) fn digests_of_sha256(&self, inner: &[u8; 32]) -> Vec<Digest> {
        self.peppers.0.iter().map(|pepper| pepper.digest(inner)).collect()
    }

    /// Returns a value that identifies these keys: the version of the newest pepper, then a MAC of
    /// a constant.
    pub(crate) fn check_value(&self) -> Vec<u8> {
        self.peppers.newest().check_value()
    }

    /// Returns whether a check value was computed with one of these keys.
    pub(crate) fn made(&self, check_value: &[u8]) -> bool {
        self.peppers.0.iter().any(|pepper| pepper.check_value() == check_value)
    }

    /// Returns a keyed name for a value that must not be stored itself. Uses the oldest pepper, so
    /// that counts survive the addition of a new pepper.
    pub(crate) fn blind(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut framed: Vec<&[u8]> = vec![b"blind", purpose.as_bytes()];
        framed.extend(parts);
        self.peppers.oldest().mac(&framed)
    }

    /// Returns the version that new rows of the audit log are chained with.
    pub(crate) fn audit_version(&self) -> i16 {
        self.audit.newest().version
    }

    /// Returns the MAC of a row of the audit log, or of a chain's end; `None` when that version is
    /// missing.
    pub(crate) fn audit_mac(&self, version: i16, parts: &[&[u8]]) -> Option<[u8; 32]> {
        self.audit.version(version).map(|key| key.mac(parts))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions = |ring: &Ring| ring.0.iter().map(|key| key.version).collect::<Vec<_>>();
        formatter
            .debug_struct("Keys")
            .field("peppers", &versions(&self.peppers))
            .field("sealing", &versions(&self.sealing))
            .field("audit", &versions(&self.audit))
            .finish()
    }
}

impl Ring {
    fn generate(entropy: &dyn Entropy) -> Self {
        Self(vec![Key { version: 1, key: entropy::bytes(entropy) }])
    }

    fn newest(&self) -> &Key {
        &self.0[0]
    }

    fn oldest(&self) -> &Key {
        self.0.last().unwrap_or(&self.0[0])
    }

    fn version(&self, version: i16) -> Option<&Key> {
        self.0.iter().find(|key| key.version == version)
    }
}

impl Key {
    fn digest(&self, inner: &[u8; 32]) -> Digest {
        Digest { bytes: self.hmac(inner), pepper_version: self.version }
    }

    fn check_value(&self) -> Vec<u8> {
        let mut value = self.version.to_be_bytes().to_vec();
        value.extend(self.mac(&[b"check"]));
        value
    }

    /// Computes a MAC of several parts, each preceded by its length, so that two different lists of
    /// parts never produce the same message. No message equals a token's inner digest either, which
    /// is 32 bytes without such a frame.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut message = b"tessera".to_vec();
        frame(&mut message, parts);
        if message.len() == 32 {
            message.push(0);
        }
        self.hmac(&message)
    }

    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length (RFC 2104 section 3)")]
    fn hmac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC accepts keys of any length");
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

/// Appends parts, each preceded by its length.
fn frame(message: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        message.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        message.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn part_lists_that_concatenate_alike_have_different_macs() {
        let keys = Keys::generate(&SystemEntropy);
        let mac = |parts: &[&[u8]]| keys.audit_mac(1, parts).unwrap();
        assert_ne!(mac(&[b"ab", b"c"]), mac(&[b"a", b"bc"]));
        assert_ne!(mac(&[b"abc"]), mac(&[b"abc", b""]));
        assert_eq!(keys.audit_mac(2, &[b"abc"]), None);
    }

    #[test]
    fn debug_shows_only_versions() {
        let shown = format!("{:?}", Keys::generate(&SystemEntropy));
        assert_eq!(shown, "Keys { peppers: [1], sealing: [1], audit: [1] }");
    }
}
