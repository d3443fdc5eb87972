//! A catalogue from an OpenAPI document (3.0 or 3.1), JSON or YAML.
//!
//! - The document's OAuth 2 and `OpenID` Connect scopes become scopes, each in the group of the tag
//!   whose operations ask for it.
//! - A document without such scopes gets two of them for each tag: `<tag>:read` for GET and HEAD,
//!   `<tag>:write` for everything else, which implies the former.
//!
//! Pure: the same document gives the same catalogue. What is not understood is left out, never
//! guessed into a wider scope: a catalogue is read by a person before it is used (`--dry-run`).
//!
//! - `document`: what of a document matters here.
//! - `naming`: names that catalogues accept, and what becomes of two that are alike.
//! - `security`, `operations`: the two ways to scopes.

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

/// Most scopes that a document may give. A catalogue of more is nothing that a person can tick.
pub const SCOPES_MAX: usize = 1_000;

/// Why a document gives no catalogue.
#[derive(Debug, Error)]
pub enum OpenApiError {
    /// Neither JSON nor YAML.
    #[error("cannot be read: {0}")]
    Form(String),
    /// Another kind of document, or another version.
    #[error("is not an OpenAPI document of version 3.0 or 3.1")]
    Version,
    /// No scope and no operation.
    #[error("has neither security scopes nor operations")]
    Empty,
    /// Too many.
    #[error("gives {0} scopes; a catalogue from a document has at most {SCOPES_MAX}")]
    TooMany(usize),
    /// What came out does not fit together: a fault of this module.
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
}

/// Reads a document, JSON or YAML.
///
/// # Errors
/// [`OpenApiError::Form`], whose text names the place at fault.
pub fn parse(text: &str) -> Result<Value, OpenApiError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| OpenApiError::Form(error.to_string()));
    }
    serde_saphyr::from_str(text).map_err(|error| OpenApiError::Form(error.to_string()))
}

/// The catalogue that a document gives an audience.
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

/// Puts scopes into groups by the names of the groups, in the order of their first appearance.
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

/// The group of what has no tag.
const GENERAL: &str = "General";

fn scope(name: ScopeName, description: domain::names::Description, risk: Risk) -> Scope {
    Scope { name, description, risk, implies: Vec::new() }
}

#[cfg(test)]
mod tests;
