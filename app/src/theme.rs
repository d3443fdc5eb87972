//! The theme: light, dark, or the system's. It is stored in a cookie, so that the server renders
//! the page in the right theme from the first byte.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of the cookie.
pub const COOKIE: &str = "theme";

/// The console's colour scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Follows the system's setting.
    #[default]
    System,
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

/// The error for a text that names none of the three themes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTheme;

impl Theme {
    /// Every theme, in the order in which the menu offers them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Returns the theme's name in the cookie, the form and `data-theme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Returns the theme's display name.
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

/// Returns the page's theme: from the request's cookie during server rendering, from the document
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

/// Returns the page's theme: from the request's cookie during server rendering, from the document
/// in the browser.
#[cfg(not(feature = "hydrate"))]
pub fn use_theme() -> Theme {
    leptos::prelude::use_context::<Theme>().unwrap_or_default()
}
