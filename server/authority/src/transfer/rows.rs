//! Reads the rows of a file to import.

use std::collections::BTreeMap;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use domain::{held::split_pair, problem::FieldError};
use serde::Deserialize;

use super::{Format, csv, import::ROWS_MAX};
use crate::work::Heavy;

/// The columns, in the order in which messages list them.
const COLUMNS: [&str; 8] =
    ["digest", "name", "owner", "grants", "scopes", "audiences", "expires_at", "description"];

/// A token in the form in which another system hands it over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) digest: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) owner: Option<String>,
    #[serde(default)]
    pub(super) grants: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    #[serde(default)]
    pub(super) audiences: Vec<String>,
    #[serde(default)]
    pub(super) expires_at: Option<String>,
    #[serde(default)]
    pub(super) description: String,
}

impl Row {
    /// Returns the SHA-256 of its secret, which is written in hexadecimal digits or in base64.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        let text = self.digest.trim();
        let bytes = if text.len() == 64 {
            hex::decode(text).ok()
        } else {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .iter()
                .find_map(|engine| engine.decode(text).ok())
        };
        bytes?.try_into().ok()
    }
}

/// Reads a file. Rows are counted from 1, without the header and empty lines.
pub(super) fn read(format: Format, bytes: &[u8], _: &Heavy) -> Result<Vec<Row>, Vec<FieldError>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| vec![FieldError::new("rows", "must be UTF-8 text")])?;
    let rows = match format {
        Format::Csv => read_csv(text)?,
        Format::Jsonl => read_jsonl(text)?,
    };
    match rows.len() {
        0 => Err(vec![FieldError::new("rows", "must not be empty")]),
        1..=ROWS_MAX => Ok(rows),
        count => {
            let message = format!("must be at most {ROWS_MAX}; there are {count}");
            Err(vec![FieldError::new("rows", message)])
        }
    }
}

fn read_jsonl(text: &str) -> Result<Vec<Row>, Vec<FieldError>> {
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    for (index, line) in lines.enumerate() {
        // serde would accept an array for a structure.
        let row =
            if line.trim_start().starts_with('{') { serde_json::from_str(line).ok() } else { None };
        match row {
            Some(row) => rows.push(row),
            // The parser's own message would quote the line, and the line contains a digest.
            None => errors.push(FieldError::new(
                format!("rows[{}]", index + 1),
                format!(
                    "must be a JSON object on one line, with no fields other than {}",
                    COLUMNS.join(", ")
                ),
            )),
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

fn read_csv(text: &str) -> Result<Vec<Row>, Vec<FieldError>> {
    let cells = csv::read(text).map_err(|bad| {
        vec![FieldError::new("rows", format!("must be CSV; in line {}, {}", bad.line, bad.why))]
    })?;
    let mut cells = cells.into_iter();
    let Some(headings) = cells.next() else { return Ok(Vec::new()) };
    let columns: Vec<Option<usize>> = headings
        .iter()
        .map(|heading| COLUMNS.iter().position(|column| *column == heading.trim()))
        .collect();
    let known = columns.iter().flatten().count();
    let mut distinct = columns.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if known < headings.len() || distinct.len() < headings.len() || !columns.contains(&Some(0)) {
        let message = format!(
            "must begin with headings that include digest, each at most once, from {}",
            COLUMNS.join(", ")
        );
        return Err(vec![FieldError::new("rows", message)]);
    }
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    for (index, values) in cells.enumerate() {
        if values.len() != headings.len() {
            let message = format!("must have {} cells, not {}", headings.len(), values.len());
            errors.push(FieldError::new(format!("rows[{}]", index + 1), message));
            continue;
        }
        let mut row = Row::default();
        for (column, value) in columns.iter().flatten().zip(values) {
            row.set(*column, value);
        }
        rows.push(row);
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

impl Row {
    fn set(&mut self, column: usize, value: String) {
        let words = |value: &str| value.split_whitespace().map(str::to_owned).collect();
        let present = |value: String| Some(value).filter(|value| !value.trim().is_empty());
        match COLUMNS[column] {
            "digest" => self.digest = value,
            "name" => self.name = value,
            "owner" => self.owner = present(value),
            "grants" => self.grants = present(value).map(|value| pairs(&value)),
            "scopes" => self.scopes = words(&value),
            "audiences" => self.audiences = words(&value),
            "expires_at" => self.expires_at = present(value),
            _ => self.description = value,
        }
    }
}

/// Parses pairs from a CSV cell: `default/rivers:read tessera/verify`, and `default/` for an
/// audience without scopes. A word that is not a pair yields an audience name that does not exist.
fn pairs(value: &str) -> BTreeMap<String, Vec<String>> {
    let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in value.split_whitespace() {
        let (audience, scope) = split_pair(word).unwrap_or((word, ""));
        let scopes = grants.entry(audience.to_owned()).or_default();
        if !scope.is_empty() {
            scopes.push(scope.to_owned());
        }
    }
    grants
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{read as read_on, *};

    fn read(format: Format, bytes: &[u8]) -> Result<Vec<Row>, Vec<FieldError>> {
        read_on(format, bytes, &Heavy::test())
    }

    #[test]
    fn both_formats_contain_the_same_row() {
        let csv = "name,digest,scopes,owner,expires_at,grants\r\n\
                   ci,abc,rivers:run rivers:read,,never,\r\n\
                   ci,abc,,,,b/table://x/y a/ b/x:y\r\n";
        let jsonl = r#"
            {"digest":"abc","name":"ci","scopes":["rivers:run","rivers:read"],"expires_at":"never"}
            {"digest":"abc","name":"ci","grants":{"a":[],"b":["table://x/y","x:y"]}}
        "#;
        let rows = read(Format::Csv, csv.as_bytes()).unwrap();
        assert_eq!(rows, read(Format::Jsonl, jsonl.as_bytes()).unwrap());
        assert_eq!(rows[0].owner, None);
    }

    #[test]
    fn digest_is_parsed_in_every_notation() {
        let of = |digest: &str| Row { digest: digest.into(), ..Row::default() }.sha256();
        let bytes: [u8; 32] = std::array::from_fn(|index| 0xff - u8::try_from(index).unwrap());
        for text in [
            hex::encode(bytes),
            hex::encode_upper(bytes),
            STANDARD.encode(bytes),
            STANDARD_NO_PAD.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
        ] {
            assert_eq!(of(&text), Some(bytes), "{text}");
        }
        for text in ["", "abc", &"0".repeat(63), &"g".repeat(64), &STANDARD.encode([0; 31])] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn malformed_rows_are_reported_by_number_without_quoting_them() {
        for (format, text, expected) in [
            (Format::Csv, "", "rows must not be empty"),
            (Format::Csv, "digest,name\n", "rows must not be empty"),
            (Format::Csv, "digest,digest\nx,y", "rows must begin with headings"),
            (Format::Csv, "digest,secret\nx,y", "rows must begin with headings"),
            (Format::Csv, "name\nx", "rows must begin with headings"),
            (Format::Csv, "digest,name\na,b\nc", "rows[2] must have 2 cells, not 1"),
            (Format::Csv, "digest\n\"x", "rows must be CSV; in line 2"),
            (
                Format::Jsonl,
                "{\"digest\":\"a\",\"name\":\"b\"}\n\n{\"digest\":\"a\",\"secret\":1}",
                "rows[2] must be a JSON object",
            ),
            (
                Format::Jsonl,
                "[\"digest\",\"name\",null,[],[],null,\"\"]",
                "rows[1] must be a JSON object",
            ),
        ] {
            let errors = read(format, text.as_bytes()).unwrap_err();
            let told = format!("{} {}", errors[0].field, errors[0].message);
            assert!(told.starts_with(expected), "{told}");
        }
        assert!(read(Format::Jsonl, b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn parsing_any_file_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "(?s)digest,name\n.{0,40}") {
            for format in [Format::Csv, Format::Jsonl] {
                let _ = read(format, &bytes);
                let _ = read(format, text.as_bytes());
            }
        }
    }
}
