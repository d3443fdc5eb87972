//! Audiences and their scopes.

use std::borrow::Cow;

use domain::catalogue::{Audience, Risk, Scope, ScopeGroup};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AnyOfBuilder, ObjectBuilder, Type},
    },
};

use super::texts;

/// The name of a scope, such as `rivers:read`, or a URI pattern.
pub(crate) struct ScopeText;

impl PartialSchema for ScopeText {
    fn schema() -> RefOr<Schema> {
        let text = |pattern: &str, length: usize| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(pattern))
                .max_length(Some(length))
        };
        AnyOfBuilder::new()
            .description(Some(
                "The name of a scope, such as `rivers:read`, or a URI pattern such as \
                 `table://my.app.**`. In a pattern, `?` matches one character other than `.`, `*` \
                 any number of such characters, and `**` any number of any characters.",
            ))
            .item(text("^[a-z0-9._-]+(:[a-z0-9._-]+)*$", 128))
            .item(text(r"^[A-Za-z][A-Za-z0-9+.-]*://[!#-\[\]-~]+$", 512))
            .examples(["rivers:run"])
            .into()
    }
}

impl ToSchema for ScopeText {
    fn name() -> Cow<'static, str> {
        "ScopeName".into()
    }
}

/// The name of an audience, such as `default`.
#[derive(ToSchema)]
#[schema(as = AudienceName, pattern = "^[a-z0-9][a-z0-9._-]*$", max_length = 63, example = "default")]
#[expect(dead_code, reason = "documents the name; the authority parses it")]
pub(crate) struct AudienceText(String);

/// How much harm a scope can do in the wrong hands.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Risk)]
pub(crate) enum RiskBody {
    /// Reads data.
    #[default]
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
    /// Scopes that it implies.
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

/// An API that tokens are meant for, with its scopes.
#[derive(Serialize, ToSchema)]
#[schema(as = Audience)]
pub(crate) struct AudienceBody {
    /// Its name in requests.
    #[schema(example = "default")]
    audience: String,
    /// Its display name.
    name: String,
    /// What the API does.
    description: String,
    /// Its scopes, in groups, without retired ones.
    groups: Vec<ScopeGroupBody>,
    /// A number that grows with every change to the audience or its scopes; also the `ETag`.
    version: i64,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it or one of its scopes last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Risk> for RiskBody {
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Read => Self::Read,
            Risk::Write => Self::Write,
            Risk::Admin => Self::Admin,
        }
    }
}

impl From<RiskBody> for Risk {
    fn from(risk: RiskBody) -> Self {
        match risk {
            RiskBody::Read => Self::Read,
            RiskBody::Write => Self::Write,
            RiskBody::Admin => Self::Admin,
        }
    }
}

impl From<Scope> for ScopeBody {
    fn from(scope: Scope) -> Self {
        Self {
            name: scope.name.into(),
            description: scope.description.into(),
            risk: scope.risk.into(),
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

impl From<Audience> for AudienceBody {
    fn from(Audience { catalogue, version, created_at, updated_at }: Audience) -> Self {
        Self {
            audience: catalogue.audience.into(),
            name: catalogue.name.into(),
            description: catalogue.description.into(),
            groups: catalogue.groups.into_iter().map(Into::into).collect(),
            version,
            created_at,
            updated_at,
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
