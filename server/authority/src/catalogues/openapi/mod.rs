//! Generates a catalogue from an OpenAPI document (3.0 or 3.1), JSON or YAML.
//!
//! - The document's OAuth 2 and `OpenID` Connect scopes become scopes, each in the group of the tag
//!   whose operations require it.
//! - A document without such scopes gets two of them for each tag: `<tag>:read` for GET and HEAD,
//!   and `<tag>:write`, which implies the former, for the other methods.
//!
//! This module is pure: the same document always gives the same catalogue. Parts that it doesn't
//! understand are left out, and never guessed into a wider scope: a person reads a catalogue before
//! it is used (`--dry-run`).
//!
//! - `document`: the relevant parts of a document.
//! - `naming`: turns the document's names into valid and unique ones.
//! - `security`, `operations`: the two sources of scopes.

mod document;
mod naming;
mod operations;
mod security;

use domain::{
    catalogue::{Catalogue, CatalogueError, Risk, Scope, ScopeGroup, ScopeName},
    names::AudienceSlug,
};
use serde_json::Value;
use thiserror::Error;

use self::document::Document;

/// The maximum number of scopes from a document. A larger catalogue would be impractical for people
/// to choose from.
pub const SCOPES_MAX: usize = 1_000;

/// The reason why a document gives no catalogue.
#[derive(Debug, Error)]
pub enum OpenApiError {
    /// The text is neither JSON nor YAML.
    #[error("cannot be read: {0}")]
    Form(String),
    /// The document is of another kind or version.
    #[error("is not an OpenAPI 3.0 or 3.1 document")]
    Version,
    /// The document has neither scopes nor operations.
    #[error("has neither security scopes nor operations")]
    Empty,
    /// The document has too many scopes.
    #[error(
        "defines {0} scopes; a catalogue from an OpenAPI document can have at most {SCOPES_MAX}"
    )]
    TooMany(usize),
    /// The generated catalogue is inconsistent, which is a bug in this module.
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
}

/// Parses a document, JSON or YAML.
///
/// # Errors
/// [`OpenApiError::Form`], whose message names the position of the mistake.
pub fn parse(text: &str) -> Result<Value, OpenApiError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| OpenApiError::Form(error.to_string()));
    }
    serde_saphyr::from_str(text).map_err(|error| OpenApiError::Form(error.to_string()))
}

/// Returns the catalogue of an audience that a document describes.
///
/// # Errors
/// See [`OpenApiError`]; every variant but `Form`.
pub fn catalogue(document: &Value, audience: &AudienceSlug) -> Result<Catalogue, OpenApiError> {
    let document = Document::of(document).ok_or(OpenApiError::Version)?;
    let mut groups = security::groups(&document);
    if groups.is_empty() {
        groups = operations::groups(&document);
    }
    let count = groups.iter().map(|group| group.scopes.len()).sum();
    if count == 0 {
        return Err(OpenApiError::Empty);
    }
    if count > SCOPES_MAX {
        return Err(OpenApiError::TooMany(count));
    }
    let name = naming::display_name(document.title)
        .or_else(|| naming::display_name(audience.as_ref()))
        .ok_or(OpenApiError::Version)?;
    let catalogue = Catalogue {
        audience: audience.clone(),
        name,
        description: naming::description([document.description]),
        groups,
    };
    catalogue.check()?;
    Ok(catalogue)
}

/// Groups scopes by the names of their groups, in the order of the groups' first appearance.
fn grouped(
    document: &Document<'_>,
    scopes: impl IntoIterator<Item = (String, Scope)>,
) -> Vec<ScopeGroup> {
    let mut groups: Vec<ScopeGroup> = Vec::new();
    for (title, scope) in scopes {
        let Some(name) = naming::display_name(&title).or_else(|| naming::display_name(GENERAL))
        else {
            continue;
        };
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.scopes.push(scope),
            None => groups.push(ScopeGroup {
                description: naming::description([document.description_of_tag(&title)]),
                name,
                scopes: vec![scope],
            }),
        }
    }
    groups
}

/// The group of scopes without a tag.
const GENERAL: &str = "General";

fn scope(name: ScopeName, description: domain::names::Description, risk: Risk) -> Scope {
    Scope { name, description, risk, implies: Vec::new() }
}

#[cfg(test)]
mod tests;
