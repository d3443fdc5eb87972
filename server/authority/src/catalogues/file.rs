//! A catalogue as a file: TOML or JSON with the fields of [`Catalogue`].
//!
//! ```toml
//! audience = "default"
//! name = "Rivers API"
//!
//! [[groups]]
//! name = "Rivers"
//!
//! [[groups.scopes]]
//! name = "rivers:write"
//! description = "Create, change and delete rivers."
//! risk = "write"            # read, write or admin
//! implies = ["rivers:read"]
//! ```

use domain::catalogue::{Catalogue, CatalogueError};
use thiserror::Error;

/// The reason why a file is not a valid catalogue.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file is not TOML, or doesn't have the structure of a catalogue. The message contains
    /// the position.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// The file is not JSON, or doesn't have the structure of a catalogue. The message contains
    /// the position.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The parts of the catalogue are inconsistent.
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
}

/// Parses and checks a catalogue.
///
/// # Errors
/// [`FileError`], whose message names the line or the scope at fault.
pub fn parse_toml(text: &str) -> Result<Catalogue, FileError> {
    let catalogue: Catalogue = toml::from_str(text)?;
    catalogue.check()?;
    Ok(catalogue)
}

/// Parses and checks a catalogue in either format. A text that begins with a brace is JSON, because
/// TOML never begins with one.
///
/// # Errors
/// [`FileError`], whose message names the line or the scope at fault.
pub fn parse(text: &str) -> Result<Catalogue, FileError> {
    if !text.trim_start().starts_with('{') {
        return parse_toml(text);
    }
    let catalogue: Catalogue = serde_json::from_str(text)?;
    catalogue.check()?;
    Ok(catalogue)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seeds_are_valid_catalogues() {
        for seed in super::super::SEEDS {
            let catalogue = parse_toml(seed).unwrap();
            let json = serde_json::to_string(&catalogue).unwrap();
            assert_eq!(parse(&json).unwrap(), catalogue);
            assert_eq!(parse(seed).unwrap(), catalogue);
            assert!(catalogue.scopes().all(|scope| !scope.description.as_ref().is_empty()));
        }
    }

    #[test]
    fn mistake_is_named_in_the_error() {
        let error = parse_toml("audience = \"default\"\nname = \"x\"\ncolour = 1").unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
        let text = "audience = \"d\"\nname = \"x\"\n[[groups]]\nname = \"g\"\n[[groups.scopes]]\nname = \"a\"\ndescription = \"\"\nimplies = [\"b\"]";
        assert_eq!(
            parse_toml(text).unwrap_err().to_string(),
            "a implies b, which is not in this catalogue"
        );
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>()) {
            let _ = parse_toml(&text);
            let _ = parse(&text);
        }
    }
}
