//! What a form post gave, for the page that answers it.
//!
//! Without JavaScript the answer to a post is a page that the server renders with [`Posted`] as a
//! context, and that is never hydrated: the browser could not know its values. Hydrated, the same
//! post is answered with an [`Outcome`] or a problem, in JSON.

use std::sync::Arc;

use domain::{problem::Problem, token::Token};
use leptos::prelude::use_context;
use serde::{Deserialize, Serialize};

/// A token's secret on its way to the person who asked for it. Its `Debug` is opaque; it is
/// serialised only in the answer to the post that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret's text: for the field that shows it, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A token that was just made, with its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// The record.
    pub token: Token,
    /// The secret, shown now and never again.
    pub secret: Secret,
    /// Whether some of the tokens that the old secret made are not disabled yet.
    #[serde(default)]
    pub children_pending: bool,
}

/// What a form asked for was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one per post, and it is moved once")]
pub enum Outcome {
    /// Go there.
    Redirect {
        /// A path on this server.
        location: String,
    },
    /// A token was made.
    Minted(Minted),
}

/// A form that was posted and what became of it: a context of pages that answer a post.
#[derive(Clone, Debug, Default)]
pub struct Posted {
    /// The path that the form was posted to.
    pub path: String,
    /// What was typed, in the form's order; a name may repeat. Never passwords.
    pub values: Vec<(String, String)>,
    /// Why it was not done.
    pub problem: Option<Problem>,
    /// What was made.
    pub minted: Option<Minted>,
}

impl Posted {
    /// The first value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All values of a field that may repeat.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.values
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.clone())
            .collect()
    }
}

/// The post that this page answers; `None` on every page that answers a GET, and in the browser.
pub fn use_posted() -> Option<Arc<Posted>> {
    use_context::<Arc<Posted>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_shows_nothing_in_debug() {
        assert_eq!(format!("{:?}", Secret::new("tsr_x")), "Secret(…)");
    }

    #[test]
    fn repeated_field_keeps_every_value() {
        let posted = Posted {
            values: vec![
                ("scope".into(), "a".into()),
                ("name".into(), "n".into()),
                ("scope".into(), "b".into()),
            ],
            ..Posted::default()
        };
        assert_eq!(posted.all("scope"), ["a", "b"]);
        assert_eq!(posted.value("scope"), Some("a"));
        assert_eq!(posted.value("other"), None);
    }

    #[test]
    fn redirect_is_written_as_the_browser_reads_it() {
        let outcome = Outcome::Redirect { location: "/workspaces".into() };
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json, serde_json::json!({"outcome": "redirect", "location": "/workspaces"}));
    }
}
