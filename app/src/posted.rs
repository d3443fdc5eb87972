//! The result of a form post, for the page that responds to it.
//!
//! Without JavaScript, the response to a post is a page that the server renders with [`Posted`] as
//! a context. It is never hydrated, because the browser does not have the posted values. On a
//! hydrated page, the response to the same post is an [`Outcome`] or a problem, in JSON.

use std::sync::Arc;

use domain::{problem::Problem, token::Token};
use leptos::prelude::use_context;
use serde::{Deserialize, Serialize};

/// A token's secret on its way to the person who requested it. Its `Debug` output is opaque. It is
/// serialised only in the response to the post that created it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret's text. Use it only for the field that shows the secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A token that was just created, with its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// The token.
    pub token: Token,
    /// The secret, shown now and never again.
    pub secret: Secret,
    /// Whether some tokens created with the old secret are not disabled yet.
    #[serde(default)]
    pub children_pending: bool,
}

/// The result of a post that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one exists per post and is moved once")]
pub enum Outcome {
    /// Open another page.
    Redirect {
        /// A path on this server.
        location: String,
    },
    /// A token was created.
    Minted(Minted),
}

/// A posted form and its result: a context of pages that respond to a post.
#[derive(Clone, Debug, Default)]
pub struct Posted {
    /// The path that the form was posted to.
    pub path: String,
    /// The submitted values, in the form's order. A name may repeat. Never contains passwords.
    pub values: Vec<(String, String)>,
    /// The problem, if the post failed.
    pub problem: Option<Problem>,
    /// The token that the post created.
    pub minted: Option<Minted>,
}

impl Posted {
    /// Returns the first value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Returns all values of a field that may repeat.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.values
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.clone())
            .collect()
    }
}

/// Returns the post that this page responds to. Returns `None` on pages that respond to a GET, and
/// in the browser.
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
    fn redirect_is_serialised_as_the_browser_expects() {
        let outcome = Outcome::Redirect { location: "/workspaces".into() };
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json, serde_json::json!({"outcome": "redirect", "location": "/workspaces"}));
    }
}
