//! The parts of an OpenAPI document that matter for a catalogue. Everything is borrowed, and parts
//! with an unexpected structure are skipped.

use serde_json::{Map, Value};

/// The methods of a path item, in the order in which their operations are considered (OpenAPI 3.1
/// section 4.8.9).
const METHODS: [&str; 8] = ["get", "head", "options", "trace", "post", "put", "patch", "delete"];

/// An OpenAPI document.
pub(super) struct Document<'a> {
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    root: &'a Map<String, Value>,
    /// All operations, sorted by path and then by method.
    pub(super) operations: Vec<Operation<'a>>,
}

/// An operation.
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    pub(super) method: &'static str,
    /// The first tag. Further tags are only for readers.
    pub(super) tag: Option<&'a str>,
    pub(super) summary: &'a str,
    object: &'a Map<String, Value>,
}

/// A scope that an OAuth 2 flow declares, with its description.
pub(super) type Declared<'a> = (&'a str, &'a str);

impl<'a> Document<'a> {
    /// Returns `None` for everything but OpenAPI 3.0 and 3.1.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        let root = value.as_object()?;
        let version = text(root, "openapi");
        if !["3.0", "3.1"].iter().any(|known| {
            version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        }) {
            return None;
        }
        let info = object(root, "info");
        Some(Self {
            title: info.map_or("", |info| text(info, "title")),
            description: info.map_or("", |info| text(info, "description")),
            root,
            operations: operations(root),
        })
    }

    /// Returns the document's description of a tag.
    pub(super) fn description_of_tag(&self, name: &str) -> &'a str {
        list(self.root, "tags")
            .filter_map(Value::as_object)
            .find(|tag| text(tag, "name") == name)
            .map_or("", |tag| text(tag, "description"))
    }

    /// Returns the tags in the order of the document.
    pub(super) fn tags(&self) -> impl Iterator<Item = &'a str> {
        list(self.root, "tags").filter_map(Value::as_object).map(|tag| text(tag, "name"))
    }

    /// Returns all scopes of the document's OAuth 2 flows, with their descriptions.
    pub(super) fn declared_scopes(&self) -> Vec<Declared<'a>> {
        let mut declared = Vec::new();
        for (_, scheme) in self.schemes() {
            let flows = object(scheme, "flows").map(sorted).unwrap_or_default();
            for flow in flows.into_iter().filter_map(|(_, flow)| flow.as_object()) {
                let scopes = object(flow, "scopes").map(sorted).unwrap_or_default();
                declared.extend(scopes.into_iter().map(|(name, description)| {
                    (name.as_str(), description.as_str().unwrap_or_default())
                }));
            }
        }
        declared
    }

    /// Returns the scopes that an operation requires: its own security requirements, or else the
    /// document's. The scopes of all alternatives count.
    pub(super) fn scopes_of(&self, operation: &Operation<'a>) -> Vec<&'a str> {
        let of =
            if operation.object.contains_key("security") { operation.object } else { self.root };
        self.required(of)
    }

    /// Returns the scopes that the document requires by default.
    pub(super) fn general_scopes(&self) -> Vec<&'a str> {
        self.required(self.root)
    }

    fn required(&self, of: &'a Map<String, Value>) -> Vec<&'a str> {
        let schemes: Vec<&str> = self.schemes().map(|(name, _)| name).collect();
        list(of, "security")
            .filter_map(Value::as_object)
            .flatten()
            .filter(|(scheme, _)| schemes.contains(&scheme.as_str()))
            .filter_map(|(_, scopes)| scopes.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Returns the security schemes whose requirements name scopes. For other schemes, the lists
    /// are empty or name roles.
    fn schemes(&self) -> impl Iterator<Item = (&'a str, &'a Map<String, Value>)> {
        object(self.root, "components")
            .and_then(|components| object(components, "securitySchemes"))
            .map(sorted)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, scheme)| Some((name.as_str(), scheme.as_object()?)))
            .filter(|(_, scheme)| matches!(text(scheme, "type"), "oauth2" | "openIdConnect"))
    }
}

impl Operation<'_> {
    /// Returns whether the method is safe (RFC 9110 section 9.2.1).
    pub(super) fn is_safe(&self) -> bool {
        matches!(self.method, "get" | "head" | "options" | "trace")
    }
}

fn operations(root: &Map<String, Value>) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in object(root, "paths").map(sorted).unwrap_or_default() {
        let Some(item) = resolve(root, item) else { continue };
        for method in METHODS {
            let Some(operation) = object(item, method) else { continue };
            let tag = list(operation, "tags").find_map(Value::as_str);
            let summary = match text(operation, "summary") {
                "" => text(operation, "description"),
                summary => summary,
            };
            operations.push(Operation { path, method, tag, summary, object: operation });
        }
    }
    operations
}

/// Returns a path item, or the one in the same document that it refers to. Follows a single
/// reference, and none to other documents.
fn resolve<'a>(root: &'a Map<String, Value>, item: &'a Value) -> Option<&'a Map<String, Value>> {
    let item = item.as_object()?;
    let Some(name) = text(item, "$ref").strip_prefix("#/components/pathItems/") else {
        return Some(item);
    };
    object(object(object(root, "components")?, "pathItems")?, name)
}

fn object<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    map.get(key)?.as_object()
}

/// Returns the members sorted by name. Whether a map keeps the order of the text depends on a
/// feature of a library, which other crates may enable.
fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    map.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}
