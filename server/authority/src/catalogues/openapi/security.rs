//! Generates scopes from those that the document names for OAuth 2 or `OpenID` Connect.

use std::collections::BTreeMap;

use domain::catalogue::{Risk, ScopeGroup};

use super::{GENERAL, document::Document, grouped, naming, scope};

/// The document's facts about one scope.
#[derive(Default)]
struct Known<'a> {
    description: &'a str,
    tag: Option<&'a str>,
    summaries: Vec<&'a str>,
    /// The number of safe operations that require it; `changing` counts the others.
    safe: usize,
    changing: usize,
}

/// Returns the document's scopes, grouped by the tag of the first operation that requires them.
/// Empty if it has none.
pub(super) fn groups(document: &Document<'_>) -> Vec<ScopeGroup> {
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for (name, description) in document.declared_scopes() {
        let known = known.entry(name).or_default();
        if known.description.is_empty() {
            known.description = description;
        }
    }
    for name in document.general_scopes() {
        known.entry(name).or_default();
    }
    for operation in &document.operations {
        for name in document.scopes_of(operation) {
            let known = known.entry(name).or_default();
            known.tag = known.tag.or(operation.tag);
            known.summaries.push(operation.summary);
            if operation.is_safe() {
                known.safe += 1;
            } else {
                known.changing += 1;
            }
        }
    }
    let names = naming::assign(known.keys().copied(), naming::as_scope);
    let order: Vec<&str> = document.tags().collect();
    let mut scopes: Vec<_> = known
        .into_iter()
        .filter_map(|(text, known)| {
            let description = match known.description {
                "" => naming::description(known.summaries.iter().copied()),
                description => naming::description([description]),
            };
            let risk = risk(text, &known);
            let tag = known.tag.unwrap_or(GENERAL);
            // Tags in the document's order, followed by those that it doesn't list.
            let place = order.iter().position(|listed| *listed == tag).unwrap_or(order.len());
            let name = names.get(text)?.parse().ok()?;
            Some((place, (tag.to_owned(), scope(name, description, risk))))
        })
        .collect();
    scopes.sort_by(|(place, (_, one)), (other, (_, two))| {
        (place, &one.name).cmp(&(other, &two.name))
    });
    grouped(document, scopes.into_iter().map(|(_, scope)| scope))
}

/// Estimates the risk of a scope, for people. Its name says most. Otherwise, a scope that some
/// operation requires for a change can do harm, and so may one that no operation requires.
fn risk(name: &str, known: &Known<'_>) -> Risk {
    let name = name.to_ascii_lowercase();
    let says = |wanted: &[&str]| {
        let mut words = name.split(|character: char| !character.is_ascii_alphanumeric());
        words.any(|word| wanted.contains(&word))
    };
    if says(&["admin", "manage", "owner", "root"]) {
        Risk::Admin
    } else if says(&["write", "create", "update", "delete", "modify", "edit", "all"]) {
        Risk::Write
    } else if says(&["read", "readonly", "list", "view", "get"])
        || (known.safe > 0 && known.changing == 0)
    {
        Risk::Read
    } else {
        Risk::Write
    }
}
