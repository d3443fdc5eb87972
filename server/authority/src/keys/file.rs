//! The keys file.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{KEY_LENGTH, Key, Keys, Ring};
use crate::entropy::Entropy;

const HEAD: &str = "\
# Tessera's keys. Without them, every token is lost. Anyone who has them and a copy of the database
# can test guesses and read sealed secrets. Keep a backup away from the database's backup, and make
# it readable only by you. Every server of this instance needs the same file.
#
# pepper: digests of secrets.  sealing: secrets that can be shown again.  audit: the audit log.
# To change a key, add one of the same kind with the next version. New work uses the new key. Keep
# the older keys: they are still needed for what was created with them.
";

/// An error in a keys file. Never reveals any part of a key.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// It is not TOML, or not of this form.
    #[error(
        "the keys file must be TOML with [[pepper]], [[sealing]] and [[audit]] tables of `version` and `key`"
    )]
    Form,
    /// There is no key of one kind.
    #[error(
        "the keys file has no [[{0}]]; add one with version = 1 and key = \"…\", 32 random bytes in base64 as printed by `openssl rand -base64 32`"
    )]
    Empty(&'static str),
    /// Two keys of one kind have the same version, or a version is below 1.
    #[error("the versions of one kind of key must be different numbers from 1 to 32767")]
    Versions,
    /// A key is not 32 bytes in base64.
    #[error("the {0} key {1} must be 32 bytes in base64")]
    Key(&'static str, i16),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    pepper: Vec<Entry>,
    #[serde(default)]
    sealing: Vec<Entry>,
    #[serde(default)]
    audit: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: i16,
    key: Zeroizing<String>,
}

impl Keys {
    /// Reads a keys file.
    pub fn from_toml(text: &str) -> Result<Self, KeysError> {
        let file = parse(text)?;
        Ok(Self {
            peppers: ring("pepper", file.pepper)?,
            sealing: ring("sealing", file.sealing)?,
            audit: ring("audit", file.audit)?,
        })
    }

    /// Returns the text of a keys file that holds these keys.
    pub fn to_toml(&self) -> SecretString {
        let mut text = Zeroizing::new(HEAD.to_owned());
        for (kind, ring) in
            [("pepper", &self.peppers), ("sealing", &self.sealing), ("audit", &self.audit)]
        {
            for key in &ring.0 {
                write(&mut text, kind, key);
            }
        }
        SecretString::from(text.as_str())
    }
}

/// Returns the same file with keys of the kinds that it lacks because earlier versions did not
/// write them, or `None` if it lacks none. A file without any pepper is not completed: the result
/// would be a different set of keys.
pub fn completed(text: &str, entropy: &dyn Entropy) -> Result<Option<SecretString>, KeysError> {
    let file = parse(text)?;
    if file.pepper.is_empty() {
        return Err(KeysError::Empty("pepper"));
    }
    let mut whole = Zeroizing::new(text.to_owned());
    for (kind, entries) in [("sealing", &file.sealing), ("audit", &file.audit)] {
        if entries.is_empty() {
            write(&mut whole, kind, Ring::generate(entropy).newest());
        }
    }
    Ok((whole.len() > text.len()).then(|| SecretString::from(whole.as_str())))
}

fn parse(text: &str) -> Result<File, KeysError> {
    // The parser's own message would quote the line, and the line may be a key.
    toml::from_str(text).map_err(|_| KeysError::Form)
}

fn ring(kind: &'static str, entries: Vec<Entry>) -> Result<Ring, KeysError> {
    let mut keys = Vec::with_capacity(entries.len());
    for entry in entries {
        let bytes = STANDARD.decode(entry.key.trim()).map(Zeroizing::new);
        let key = bytes
            .ok()
            .and_then(|bytes| <[u8; KEY_LENGTH]>::try_from(bytes.as_slice()).ok())
            .ok_or(KeysError::Key(kind, entry.version))?;
        keys.push(Key { version: entry.version, key });
    }
    keys.sort_by_key(|key| std::cmp::Reverse(key.version));
    if keys.is_empty() {
        return Err(KeysError::Empty(kind));
    }
    let twins = keys.windows(2).any(|pair| pair[0].version == pair[1].version);
    if twins || keys.iter().any(|key| key.version < 1) {
        return Err(KeysError::Versions);
    }
    Ok(Ring(keys))
}

fn write(text: &mut String, kind: &str, key: &Key) {
    let encoded = Zeroizing::new(STANDARD.encode(key.key));
    text.push_str("\n[[");
    text.push_str(kind);
    text.push_str("]]\nversion = ");
    text.push_str(&key.version.to_string());
    text.push_str("\nkey = \"");
    text.push_str(&encoded);
    text.push_str("\"\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn text() -> String {
        Keys::generate(&SystemEntropy).to_toml().expose_secret().to_owned()
    }

    #[test]
    fn keys_survive_a_round_trip_through_their_file() {
        let keys = Keys::generate(&SystemEntropy);
        let again = Keys::from_toml(keys.to_toml().expose_secret()).unwrap();
        assert_eq!(keys.digest("x"), again.digest("x"));
        assert_eq!(keys.audit_mac(1, &[b"x"]), again.audit_mac(1, &[b"x"]));
        assert!(again.made(&keys.check_value()));
        assert!(!Keys::generate(&SystemEntropy).made(&keys.check_value()));
    }

    #[test]
    fn older_pepper_still_finds_its_digests() {
        let old = text();
        let newer = text().replace("version = 1", "version = 2");
        let both = Keys::from_toml(&format!("{old}{newer}")).unwrap();
        let old = Keys::from_toml(&old).unwrap();
        assert_eq!(both.digest("x").pepper_version, 2);
        assert!(both.digests("x").contains(&old.digest("x")));
        assert!(both.made(&old.check_value()));
    }

    #[test]
    fn file_of_an_older_version_is_completed_once() {
        let whole = text();
        let old = whole[..whole.find("[[sealing]]").unwrap()].to_owned();
        assert_eq!(Keys::from_toml(&old).unwrap_err(), KeysError::Empty("sealing"));
        let completed_text = completed(&old, &SystemEntropy).unwrap().unwrap();
        let completed_text = completed_text.expose_secret();
        assert!(completed_text.starts_with(&old));
        let keys = Keys::from_toml(completed_text).unwrap();
        assert_eq!(keys.digest("x"), Keys::from_toml(&whole).unwrap().digest("x"));
        assert!(completed(completed_text, &SystemEntropy).unwrap().is_none());
        assert!(completed("", &SystemEntropy).is_err());
    }

    #[test]
    fn bad_file_is_refused_without_quoting_it() {
        let key = STANDARD.encode([7; 32]);
        for (text, error) in [
            (String::new(), KeysError::Empty("pepper")),
            ("pepper".into(), KeysError::Form),
            (format!("[[pepper]]\nversion = 1\nkey = \"{key}\"\nextra = 1"), KeysError::Form),
            ("[[pepper]]\nversion = 1\nkey = \"c2hvcnQ=\"".into(), KeysError::Key("pepper", 1)),
            (format!("[[pepper]]\nversion = 0\nkey = \"{key}\""), KeysError::Versions),
        ] {
            assert_eq!(Keys::from_toml(&text).unwrap_err(), error);
        }
    }

    proptest! {
        #[test]
        fn parsing_any_file_never_panics(text in any::<String>()) {
            let _ = Keys::from_toml(&text);
            let _ = completed(&text, &SystemEntropy);
        }
    }
}
