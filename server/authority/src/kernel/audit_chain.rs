//! The links between the rows of the log.
//!
//! A row's MAC covers every column of the row, its position in the chain and the MAC of the
//! previous row, under a key that is not in the database. The end of the chain is stored separately
//! with its own seal, so that a removed tail is detected.
//!
//! The MAC is computed over what PostgreSQL returns, not over what was sent to it: times have
//! microsecond precision, and JSON has its keys sorted and its numbers in canonical form.

use serde_json::{Number, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::keys::Keys;

/// The chain of changes that belong to no workspace.
pub(crate) const INSTANCE: Uuid = Uuid::nil();

/// The MAC that the first row of a chain has as its previous one.
pub(crate) const START: [u8; 32] = [0; 32];

/// Domain separators of the MACs, so that a MAC of one kind is never valid as the other.
const ROW: &[u8] = b"tessera audit row 1";
const HEAD: &[u8] = b"tessera audit head 1";

/// A row without its position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) at: OffsetDateTime,
    pub(crate) workspace: Option<Uuid>,
    pub(crate) actor_kind: String,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) actor_name: String,
    pub(crate) action: String,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) subject_name: String,
    pub(crate) surface: String,
    pub(crate) client_ip: Option<String>,
    pub(crate) request_id: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// A row's position in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) chain: Uuid,
    pub(crate) seq: i64,
    pub(crate) mac: Vec<u8>,
    pub(crate) key_version: i16,
}

/// A row as it is stored. `link` is `None` if it was removed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChainedEvent {
    pub(crate) event: Event,
    pub(crate) link: Option<Link>,
}

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) chain: Uuid,
    pub(crate) seq: i64,
    pub(crate) mac: Vec<u8>,
    pub(crate) seal: Vec<u8>,
    pub(crate) key_version: i16,
}

impl Event {
    /// Returns the chain that the row belongs to.
    pub(crate) fn chain(&self) -> Uuid {
        self.workspace.unwrap_or(INSTANCE)
    }

    /// Returns the row's MAC at a position; `None` if the key is missing.
    pub(crate) fn mac(
        &self,
        keys: &Keys,
        key_version: i16,
        (chain, seq): (Uuid, i64),
        previous: &[u8],
    ) -> Option<[u8; 32]> {
        let text = |text: &str| text.as_bytes().to_vec();
        let id = |id: Option<Uuid>| optional(id.as_ref().map(|id| id.as_bytes().as_slice()));
        let json = |value: &Option<Value>| optional(value.as_ref().map(canonical).as_deref());
        let parts: [Vec<u8>; 19] = [
            ROW.to_vec(),
            key_version.to_be_bytes().to_vec(),
            chain.as_bytes().to_vec(),
            seq.to_be_bytes().to_vec(),
            previous.to_vec(),
            self.id.to_be_bytes().to_vec(),
            (self.at.unix_timestamp_nanos() / 1_000).to_be_bytes().to_vec(),
            id(self.workspace),
            text(&self.actor_kind),
            id(self.actor_id),
            text(&self.actor_name),
            text(&self.action),
            id(self.subject_id),
            text(&self.subject_name),
            text(&self.surface),
            optional(self.client_ip.as_deref().map(str::as_bytes)),
            text(&self.request_id),
            json(&self.before),
            json(&self.after),
        ];
        keys.audit_mac(key_version, &parts.each_ref().map(Vec::as_slice))
    }

    /// Appends the row to `head`. Returns its link and the new end of the chain.
    pub(crate) fn after(&self, keys: &Keys, head: &Head) -> Option<(Link, Head)> {
        let (chain, seq, key_version) = (head.chain, head.seq + 1, keys.audit_version());
        let mac = self.mac(keys, key_version, (chain, seq), &head.mac)?.to_vec();
        let head = Head::sealed(keys, chain, seq, mac.clone())?;
        Some((Link { chain, seq, mac, key_version }, head))
    }
}

impl Head {
    /// Returns the end of a chain, sealed with the newest key.
    pub(crate) fn sealed(keys: &Keys, chain: Uuid, seq: i64, mac: Vec<u8>) -> Option<Self> {
        let key_version = keys.audit_version();
        let seal = seal(keys, key_version, chain, seq, &mac)?.to_vec();
        Some(Self { chain, seq, mac, seal, key_version })
    }

    /// Returns the end of a chain without rows.
    pub(crate) fn start(keys: &Keys, chain: Uuid) -> Option<Self> {
        Self::sealed(keys, chain, 0, START.to_vec())
    }

    /// Returns whether the seal is valid; `None` if its key is missing.
    pub(crate) fn is_whole(&self, keys: &Keys) -> Option<bool> {
        let seal = seal(keys, self.key_version, self.chain, self.seq, &self.mac)?;
        Some(seal.as_slice() == self.seal)
    }
}

fn seal(keys: &Keys, key_version: i16, chain: Uuid, seq: i64, mac: &[u8]) -> Option<[u8; 32]> {
    let parts: [&[u8]; 5] =
        [HEAD, &key_version.to_be_bytes(), chain.as_bytes(), &seq.to_be_bytes(), mac];
    keys.audit_mac(key_version, &parts)
}

/// Encodes an optional value, so that an absent value differs from an empty one.
fn optional(bytes: Option<&[u8]>) -> Vec<u8> {
    match bytes {
        None => vec![0],
        Some(bytes) => [&[1], bytes].concat(),
    }
}

/// Returns JSON in canonical form, which is the same for what was sent and for what
/// PostgreSQL returns.
fn canonical(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write(value, &mut text);
    text.into_bytes()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<_> = object.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in pairs {
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Number(number) => text.push_str(&by_value(number)),
        // serde_json has a single representation for each of these.
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

/// Returns a number in canonical form: PostgreSQL writes `1e16` as `10000000000000000`.
fn by_value(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "integral and within the range of i128"
            )]
            let whole = (float.fract() == 0.0 && float.abs() < 1e20).then_some(float as i128);
            whole.map_or_else(|| format!("{float:e}"), |whole| whole.to_string())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_has_one_canonical_form() {
        let spelt = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        for (sent, given_back) in [
            (r#"{"b":1,"a":[1,2]}"#, r#"{"a": [1, 2], "b": 1}"#),
            ("1e16", "10000000000000000"),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("1.5e-7", "0.00000015"),
            (r#""\u00e9\/""#, r#""é/""#),
        ] {
            assert_eq!(spelt(sent), spelt(given_back), "{sent}");
        }
        for (one, other) in [
            (r#"{"a":null}"#, "{}"),
            (r#"["a"]"#, r#""a""#),
            ("1", r#""1""#),
            (r#"["a","b"]"#, r#"["a\",\"b"]"#),
            (r#"{"a":"b"}"#, r#"["a","b"]"#),
        ] {
            assert_ne!(spelt(one), spelt(other), "{one}");
        }
    }

    #[test]
    fn absent_and_empty_differ() {
        assert_ne!(optional(None), optional(Some(b"")));
        assert_ne!(optional(Some(canonical(&json!(null)).as_slice())), optional(None));
    }
}
