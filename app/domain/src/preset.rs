//! Presets: ready-made policies.
//!
//! A preset has a name, a description, the rules that it sets, and the audiences that it needs.
//! Applying a preset replaces all rules of a level.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalogue::Risk;

/// A ready-made policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The policy that applies if no rule is set.
    Standard,
    /// Only administrators manage tokens; names are unique.
    Rivery,
    /// Secrets can be shown again; five audiences.
    Devo,
    /// Members manage their own tokens, which may never expire.
    Kriten,
    /// At most 200 tokens, which live for 270 days.
    RobustIntelligence,
}

/// The error for a text that is not a preset.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a preset; presets are standard, rivery, devo, kriten, robust_intelligence")]
pub struct UnknownPreset(pub String);

/// An audience that a preset needs, with the scopes that it gets if it does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetAudience {
    /// The audience's name in requests.
    pub slug: &'static str,
    /// The audience's display name.
    pub name: &'static str,
    /// The purpose of the API.
    pub description: &'static str,
    /// The scopes: name, description, and how much harm they can do.
    pub scopes: &'static [(&'static str, &'static str, Risk)],
}

/// Devo's audiences. Their scopes are URI patterns, and a token may hold any part of them:
/// `table://my.app.test`, `table://my.app.*`, `level://admin`.
const DEVO: &[PresetAudience] = &[
    PresetAudience {
        slug: "aggregations",
        name: "Aggregations",
        description: "Devo's aggregation API.",
        scopes: &[TABLES_READ, LEVELS],
    },
    PresetAudience {
        slug: "apiv2",
        name: "API v2",
        description: "Devo's query API.",
        scopes: &[TABLES_READ, LEVELS],
    },
    PresetAudience {
        slug: "apiv2-admin",
        name: "API v2 administration",
        description: "Devo's query API for the whole domain.",
        scopes: &[TABLES_READ, LEVELS],
    },
    PresetAudience {
        slug: "alerts",
        name: "Alerts",
        description: "Devo's alerts API.",
        scopes: &[TABLES_READ, LEVELS],
    },
    PresetAudience {
        slug: "http",
        name: "HTTP ingestion",
        description: "Sends events to Devo over HTTP.",
        scopes: &[TABLES_WRITE, LEVELS],
    },
];

const TABLES: &str = "table://**";
const TABLES_READ: (&str, &str, Risk) = (
    TABLES,
    "Read these tables. ? matches one character, * matches within one element, ** matches across elements.",
    Risk::Read,
);
const TABLES_WRITE: (&str, &str, Risk) = (
    TABLES,
    "Send events to these tables. ? matches one character, * matches within one element, ** matches across elements.",
    Risk::Write,
);
const LEVELS: (&str, &str, Risk) = (
    "level://*",
    "Use this API with the rights of a level. level://admin has all rights of a domain administrator.",
    Risk::Admin,
);

impl Preset {
    /// Every preset, in the order in which they are offered.
    pub const ALL: [Self; 5] =
        [Self::Standard, Self::Rivery, Self::Devo, Self::Kriten, Self::RobustIntelligence];

    /// Returns the preset's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Rivery => "rivery",
            Self::Devo => "devo",
            Self::Kriten => "kriten",
            Self::RobustIntelligence => "robust_intelligence",
        }
    }

    /// Returns the preset's display name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Rivery => "Rivery",
            Self::Devo => "Devo",
            Self::Kriten => "Kriten",
            Self::RobustIntelligence => "Robust Intelligence",
        }
    }

    /// Returns a description in one sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Standard => {
                "No rules of its own: tokens expire after 90 days unless their creator chooses otherwise, secrets are shown once, and administrators manage tokens."
            }
            Self::Rivery => {
                "Only administrators manage tokens, names are unique, and secrets are shown once."
            }
            Self::Devo => {
                "Tokens can be recoverable, so that their secret can be shown again. Includes five audiences."
            }
            Self::Kriten => {
                "Members manage their own tokens, which can have no expiry. The prefix is kri."
            }
            Self::RobustIntelligence => {
                "At most 200 tokens. Tokens expire after 270 days, which is also the maximum. Secrets are shown once."
            }
        }
    }

    /// Returns the audiences that the preset needs.
    pub const fn audiences(self) -> &'static [PresetAudience] {
        match self {
            Self::Devo => DEVO,
            _ => &[],
        }
    }
}

impl std::str::FromStr for Preset {
    type Err = UnknownPreset;

    /// Parses `robust_intelligence` as well as `Robust Intelligence` and `robust-intelligence`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim().to_lowercase().replace([' ', '-'], "_");
        Self::ALL
            .into_iter()
            .find(|preset| preset.as_str() == wanted)
            .ok_or_else(|| UnknownPreset(text.to_owned()))
    }
}

impl std::fmt::Display for Preset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.title())
    }
}
