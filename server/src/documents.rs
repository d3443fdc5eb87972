//! Checks the tables in the documentation that follow from the code.
//!
//! A generated table stands between two comments. To write the tables again, run this test with
//! `TESSERA_WRITE_DOCUMENTS=1`.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use serde_json::Value;

use crate::{config::Setting, http::openapi};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path_of(name)).unwrap()
}

/// Compares a generated table with the one in a document, or writes it there.
fn check(document: &str, name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), "<!-- end -->");
    let text = read(document);
    let (before, rest) = text.split_once(&begin).expect("the document has no such table");
    let (written, after) = rest.split_once(end).expect("the table has no end");
    if std::env::var_os("TESSERA_WRITE_DOCUMENTS").is_some() {
        let text = format!("{before}{begin}\n{table}\n{end}{after}");
        fs::write(path_of(document), text).unwrap();
    } else {
        assert_eq!(
            written.trim(),
            table.trim(),
            "{document} differs from the code: run this test with TESSERA_WRITE_DOCUMENTS=1"
        );
    }
}

/// Returns all operations: method, path and summary.
fn operations() -> Vec<(String, String, String)> {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut found = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get(method.to_lowercase()) {
                let summary = operation["summary"].as_str().unwrap_or_default();
                found.push((method.to_owned(), path.clone(), summary.to_owned()));
            }
        }
    }
    found
}

#[test]
fn table_of_settings_follows_from_the_code() {
    let mut table =
        String::from("| key | environment variable | default | meaning |\n|---|---|---|---|\n");
    for setting in Setting::ALL {
        let (meaning, computed) = match setting.about().split_once(" (default: ") {
            Some((meaning, computed)) => (meaning, computed.trim_end_matches(')')),
            None => (setting.about(), "none"),
        };
        let default = match setting.default_text() {
            None | Some("") => computed.to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let (name, variable) = (setting.name(), setting.variable());
        writeln!(table, "| `{name}` | `{variable}` | {default} | {meaning} |").unwrap();
    }
    check("docs/configuration.md", "settings", &table);
}

#[test]
fn table_of_operations_follows_from_the_code() {
    let mut table = String::from("| operation | what it does |\n|---|---|\n");
    for (method, path, summary) in operations() {
        writeln!(table, "| `{method} {path}` | {summary} |").unwrap();
    }
    check("docs/api.md", "operations", &table);
}

#[test]
fn operations_that_documents_list_exist() {
    let exist: BTreeSet<String> = operations()
        .into_iter()
        .map(|(method, path, _)| format!("{method} {}", without_names(&path)))
        .collect();
    let document: Value = serde_json::to_value(openapi::document()).unwrap();
    assert!(document["paths"].get("/api/v1/verify").is_some());
    for name in ["README.md", "docs/api.md"] {
        let mut listed = 0;
        for line in read(name).lines() {
            let mut words = line.split_whitespace();
            let (Some(method), Some(path)) = (words.next(), words.next()) else { continue };
            if !METHODS.contains(&method) || !path.starts_with("/api/") {
                continue;
            }
            listed += 1;
            let operation = format!("{method} {}", without_names(path));
            assert!(exist.contains(&operation), "{name} lists {method} {path}");
        }
        assert!(listed > 3, "{name} lists only {listed} operations");
    }
}

/// Replaces the names of parameters: documents use shorter ones.
fn without_names(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}
