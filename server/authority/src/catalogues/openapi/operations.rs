//! Generates scopes for a document that names none: two for each tag.

use std::collections::BTreeMap;

use domain::catalogue::{Risk, Scope, ScopeGroup, ScopeName};

use super::{
    GENERAL,
    document::{Document, Operation},
    grouped, naming, scope,
};

/// The summaries of a tag's operations.
#[derive(Default)]
struct Tag<'a> {
    reading: Vec<&'a str>,
    writing: Vec<&'a str>,
}

/// Returns `<tag>:read` and `<tag>:write`, in a group for each tag.
pub(super) fn groups(document: &Document<'_>) -> Vec<ScopeGroup> {
    let mut tags: BTreeMap<&str, Tag<'_>> = BTreeMap::new();
    for operation in &document.operations {
        let tag = tags.entry(tag(operation)).or_default();
        // OPTIONS and TRACE concern the connection, not the resource, so they need no scope.
        match operation.method {
            "get" | "head" => tag.reading.push(operation.summary),
            "options" | "trace" => {}
            _ => tag.writing.push(operation.summary),
        }
    }
    tags.retain(|_, tag| !tag.reading.is_empty() || !tag.writing.is_empty());
    let names = naming::assign(tags.keys().copied(), naming::as_part);
    let order: Vec<&str> = document.tags().collect();
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort_by_key(|(name, _)| {
        order.iter().position(|listed| listed == name).unwrap_or(order.len())
    });
    let scopes = tags.iter().flat_map(|(name, tag)| {
        let base = names.get(name).map_or("general", String::as_str);
        scopes(base, tag).into_iter().map(|scope| ((*name).to_owned(), scope))
    });
    grouped(document, scopes)
}

fn scopes(base: &str, tag: &Tag<'_>) -> Vec<Scope> {
    let describe = |summaries: &[&str]| naming::description(summaries.iter().copied());
    let name = |verb: &str| format!("{base}:{verb}").parse::<ScopeName>().ok();
    let mut scopes = Vec::new();
    let read = name("read").filter(|_| !tag.reading.is_empty());
    if let Some(read) = &read {
        scopes.push(scope(read.clone(), describe(&tag.reading), Risk::Read));
    }
    if let Some(write) = name("write").filter(|_| !tag.writing.is_empty()) {
        let implies = read.into_iter().collect();
        scopes.push(Scope { implies, ..scope(write, describe(&tag.writing), Risk::Write) });
    }
    scopes
}

/// Returns the operation's tag, or else the first part of its path that names a resource.
fn tag<'a>(operation: &Operation<'a>) -> &'a str {
    operation.tag.filter(|tag| !naming::part(tag).is_empty()).unwrap_or_else(|| {
        operation.path.split('/').find(|segment| names_a_thing(segment)).unwrap_or(GENERAL)
    })
}

/// Returns whether a path segment names a resource: it is not `api`, a version such as `v1`, or
/// a parameter.
fn names_a_thing(segment: &str) -> bool {
    let version = segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    !segment.contains('{') && segment != "api" && !version && !naming::part(segment).is_empty()
}
