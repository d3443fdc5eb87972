//! The keys that turn secrets into what is stored, by version.
//!
//! They live outside the database (`keys.toml`, mode 0600, or given by configuration), so that a
//! stolen dump tells nobody's token. Every replica needs the same file. The newest pepper makes new
//! digests; older ones still find the digests that they made.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy::{self, Entropy};

const KEY_LENGTH: usize = 32;

/// What is wrong with a keys file. Never says anything of a key.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// Not TOML, or not of this form.
    #[error("the keys file must be TOML with [[pepper]] tables of `version` and `key`")]
    Form,
    /// No pepper at all.
    #[error("the keys file has no [[pepper]]")]
    Empty,
    /// Two of one version, or one below 1.
    #[error("the versions of the peppers must be different numbers from 1 to 32767")]
    Versions,
    /// Not 32 bytes in base64.
    #[error("the key of pepper {0} must be 32 bytes in base64")]
    Key(i16),
}

/// All keys of an instance.
pub struct Keys {
    /// Newest first; never empty.
    peppers: Vec<Pepper>,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Pepper {
    version: i16,
    key: [u8; KEY_LENGTH],
}

/// A digest as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest {
    pub(crate) bytes: [u8; 32],
    pub(crate) pepper_version: i16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    #[serde(default)]
    pepper: Vec<PepperEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PepperEntry {
    version: i16,
    key: Zeroizing<String>,
}

impl Keys {
    /// New keys, all of version 1.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self { peppers: vec![Pepper { version: 1, key: entropy::bytes(entropy) }] }
    }

    /// Reads a keys file.
    pub fn from_toml(text: &str) -> Result<Self, KeysError> {
        // The parser's own message would quote the line, and the line may be a key.
        let file: KeysFile = toml::from_str(text).map_err(|_| KeysError::Form)?;
        let mut peppers = Vec::with_capacity(file.pepper.len());
        for entry in file.pepper {
            let bytes = STANDARD.decode(entry.key.trim()).map(Zeroizing::new);
            let key = bytes
                .ok()
                .and_then(|bytes| <[u8; KEY_LENGTH]>::try_from(bytes.as_slice()).ok())
                .ok_or(KeysError::Key(entry.version))?;
            peppers.push(Pepper { version: entry.version, key });
        }
        peppers.sort_by_key(|pepper| std::cmp::Reverse(pepper.version));
        if peppers.is_empty() {
            return Err(KeysError::Empty);
        }
        let twins = peppers.windows(2).any(|pair| pair[0].version == pair[1].version);
        if twins || peppers.iter().any(|pepper| pepper.version < 1) {
            return Err(KeysError::Versions);
        }
        Ok(Self { peppers })
    }

    /// The text of a keys file that holds these keys.
    pub fn to_toml(&self) -> SecretString {
        let mut text = String::from(
            "# Tessera's keys. Without them every token is lost; with them a copy of the database is\n\
             # enough to test guesses. Keep a backup apart from the database's, readable by nobody else.\n\
             # Every server of this instance needs the same file. To change a pepper, add one with the\n\
             # next version: new tokens use it, and older ones are still found.\n",
        );
        for pepper in &self.peppers {
            let key = Zeroizing::new(STANDARD.encode(pepper.key));
            text.push_str("\n[[pepper]]\nversion = ");
            text.push_str(&pepper.version.to_string());
            text.push_str("\nkey = \"");
            text.push_str(&key);
            text.push_str("\"\n");
        }
        SecretString::from(text)
    }

    /// What is stored for a new token's text.
    pub(crate) fn digest(&self, text: &str) -> Digest {
        let inner: [u8; 32] = Sha256::digest(text).into();
        self.peppers[0].digest(&inner)
    }

    /// What may be stored for a text that somebody presents: one digest for each pepper.
    pub(crate) fn digests(&self, text: &str) -> Vec<Digest> {
        let inner: [u8; 32] = Sha256::digest(text).into();
        self.peppers.iter().map(|pepper| pepper.digest(&inner)).collect()
    }

    /// Recognises these keys: version of the newest pepper, then a MAC of a constant.
    pub(crate) fn check_value(&self) -> Vec<u8> {
        self.peppers[0].check_value()
    }

    /// Whether a check value was made with one of these keys.
    pub(crate) fn made(&self, check_value: &[u8]) -> bool {
        self.peppers.iter().any(|pepper| pepper.check_value() == check_value)
    }

    /// A keyed name for something that must not be stored itself. Uses the oldest pepper, so that a
    /// new one does not forget what is counted.
    pub(crate) fn blind(&self, purpose: &str, value: &str) -> [u8; 32] {
        let oldest = self.peppers.last().unwrap_or(&self.peppers[0]);
        oldest.mac(&[b"blind", purpose.as_bytes(), value.as_bytes()])
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions: Vec<_> = self.peppers.iter().map(|pepper| pepper.version).collect();
        write!(formatter, "Keys(peppers {versions:?})")
    }
}

impl Pepper {
    fn digest(&self, inner: &[u8; 32]) -> Digest {
        Digest { bytes: self.hmac(inner), pepper_version: self.version }
    }

    fn check_value(&self) -> Vec<u8> {
        let mut value = self.version.to_be_bytes().to_vec();
        value.extend(self.mac(&[b"check"]));
        value
    }

    /// A MAC of several parts, each with its length before it, so that no two lists of parts read
    /// alike; and none reads like a token's inner digest, which is 32 bytes and has no such frame.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut message = b"tessera".to_vec();
        for part in parts {
            message.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            message.extend_from_slice(part);
        }
        if message.len() == 32 {
            message.push(0);
        }
        self.hmac(&message)
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 3)")]
    fn hmac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn keys_survive_their_file() {
        let keys = Keys::generate(&SystemEntropy);
        let again = Keys::from_toml(keys.to_toml().expose_secret()).unwrap();
        assert_eq!(keys.digest("x"), again.digest("x"));
        assert!(again.made(&keys.check_value()));
        assert!(!Keys::generate(&SystemEntropy).made(&keys.check_value()));
        assert_eq!(format!("{keys:?}"), "Keys(peppers [1])");
    }

    #[test]
    fn older_pepper_still_finds_its_digests() {
        let old = Keys::generate(&SystemEntropy);
        let mut text = old.to_toml().expose_secret().to_owned();
        let newer = Keys::generate(&SystemEntropy)
            .to_toml()
            .expose_secret()
            .replace("version = 1", "version = 2");
        text.push_str(&newer);
        let both = Keys::from_toml(&text).unwrap();
        assert_eq!(both.digest("x").pepper_version, 2);
        assert!(both.digests("x").contains(&old.digest("x")));
        assert!(both.made(&old.check_value()));
    }

    #[test]
    fn bad_file_is_refused_without_quoting_it() {
        let key = STANDARD.encode([7; 32]);
        for (text, error) in [
            (String::new(), KeysError::Empty),
            ("pepper".into(), KeysError::Form),
            (format!("[[pepper]]\nversion = 1\nkey = \"{key}\"\nextra = 1"), KeysError::Form),
            ("[[pepper]]\nversion = 1\nkey = \"c2hvcnQ=\"".into(), KeysError::Key(1)),
            (format!("[[pepper]]\nversion = 0\nkey = \"{key}\""), KeysError::Versions),
        ] {
            assert_eq!(Keys::from_toml(&text).unwrap_err(), error);
        }
    }

    proptest! {
        #[test]
        fn reading_any_file_never_panics(text in any::<String>()) {
            let _ = Keys::from_toml(&text);
        }
    }
}
