//! Audiences and their scopes.

use domain::catalogue::{Catalogue, Risk, Scope, ScopeGroup};
use serde::Serialize;
use utoipa::ToSchema;

use super::texts;

/// The name of a scope, such as `rivers:read`.
#[derive(ToSchema)]
#[schema(as = ScopeName, pattern = "^[a-z0-9._-]+(:[a-z0-9._-]+)*$", max_length = 128, example = "rivers:run")]
#[expect(dead_code, reason = "describes; values are parsed by the authority")]
pub(crate) struct ScopeText(String);

/// The name of an audience, such as `default`.
#[derive(ToSchema)]
#[schema(as = AudienceName, pattern = "^[a-z0-9][a-z0-9._-]*$", max_length = 63, example = "default")]
#[expect(dead_code, reason = "describes; values are parsed by the authority")]
pub(crate) struct AudienceText(String);

/// How much harm a scope can do in the wrong hands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Risk)]
pub(crate) enum RiskBody {
    /// Looks.
    Read,
    /// Changes or starts something.
    Write,
    /// Manages access, or cannot be undone.
    Admin,
}

/// One permission.
#[derive(Serialize, ToSchema)]
#[schema(as = Scope)]
pub(crate) struct ScopeBody {
    /// Its name.
    #[schema(example = "rivers:write")]
    name: String,
    /// The access that it gives.
    description: String,
    /// How much harm it can do.
    risk: RiskBody,
    /// Scopes that come with it.
    implies: Vec<String>,
}

/// Scopes that belong together.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopeGroup)]
pub(crate) struct ScopeGroupBody {
    /// The heading.
    name: String,
    /// What the group is about.
    description: String,
    /// Its scopes.
    scopes: Vec<ScopeBody>,
}

/// One API that tokens are meant for, with the scopes that it knows.
#[derive(Serialize, ToSchema)]
#[schema(as = Audience)]
pub(crate) struct AudienceBody {
    /// Its name in requests.
    #[schema(example = "default")]
    audience: String,
    /// Its name for people.
    name: String,
    /// What the API does.
    description: String,
    /// Its scopes, in groups.
    groups: Vec<ScopeGroupBody>,
}

impl From<Scope> for ScopeBody {
    fn from(scope: Scope) -> Self {
        Self {
            name: scope.name.into(),
            description: scope.description.into(),
            risk: match scope.risk {
                Risk::Read => RiskBody::Read,
                Risk::Write => RiskBody::Write,
                Risk::Admin => RiskBody::Admin,
            },
            implies: texts(scope.implies),
        }
    }
}

impl From<ScopeGroup> for ScopeGroupBody {
    fn from(group: ScopeGroup) -> Self {
        Self {
            name: group.name.into(),
            description: group.description.into(),
            scopes: group.scopes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Catalogue> for AudienceBody {
    fn from(catalogue: Catalogue) -> Self {
        Self {
            audience: catalogue.audience.into(),
            name: catalogue.name.into(),
            description: catalogue.description.into(),
            groups: catalogue.groups.into_iter().map(Into::into).collect(),
        }
    }
}

/// Audiences.
#[derive(Serialize, ToSchema)]
#[schema(as = AudienceList)]
pub(crate) struct AudienceListBody {
    /// All of them.
    pub(in crate::http::rest) items: Vec<AudienceBody>,
    /// Always null: the list has one page.
    pub(in crate::http::rest) next: Option<String>,
}
