//! Light, dark, or as the system says: a cookie, so that the first byte of a page knows it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The cookie's name.
pub const COOKIE: &str = "theme";

/// How the console looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system is set.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// Not one of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTheme;

impl Theme {
    /// Every theme, in the order in which the menu offers them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name in the cookie, the form and `data-theme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Its name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }
}

impl FromStr for Theme {
    type Err = UnknownTheme;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text).ok_or(UnknownTheme)
    }
}

/// The theme of this page: from the request's cookie while the server renders, from the document
/// in the browser.
#[cfg(feature = "hydrate")]
pub fn use_theme() -> Theme {
    use leptos::prelude::document;

    document()
        .document_element()
        .and_then(|html| html.get_attribute("data-theme"))
        .and_then(|theme| theme.parse().ok())
        .unwrap_or_default()
}

/// The theme of this page: from the request's cookie while the server renders, from the document
/// in the browser.
#[cfg(not(feature = "hydrate"))]
pub fn use_theme() -> Theme {
    leptos::prelude::use_context::<Theme>().unwrap_or_default()
}
