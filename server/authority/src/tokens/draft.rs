//! A token as somebody asks for it, and what is wrong with it.

use std::collections::BTreeSet;

use domain::{
    catalogue::{Catalogue, DEFAULT_AUDIENCE, ScopeName},
    expiry::{ExpiryChoice, ExpiryError},
    grants::Rights,
    ids::AudienceId,
    names::{Description, TokenName},
    policy::Policy,
    problem::FieldError,
};
use ipnet::IpNet;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{policies::check_name, store::catalogues::StoredCatalogue};

/// Most address ranges of a token.
const RANGES_MAX: usize = 32;

/// A token to make, as a door received it.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// E-mail address or id of the user that it acts as; the caller when there is none.
    pub user: Option<String>,
    /// The APIs that it is meant for; `default` when there is none.
    pub audiences: Vec<String>,
    /// Its scopes, each known to one of its audiences.
    pub scopes: Vec<String>,
    /// When it ends, as [`domain::expiry::parse`] understood it.
    pub expiry: Result<ExpiryChoice, ExpiryError>,
    /// Not valid before this moment, RFC 3339.
    pub not_before: Option<String>,
    /// Addresses or CIDR ranges from which it may be used; from anywhere when there is none.
    pub ip_allow: Vec<String>,
    /// The form that asks: sent twice, it makes one token.
    pub creation_key: Option<Uuid>,
}

impl Default for TokenDraft {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            user: None,
            audiences: Vec::new(),
            scopes: Vec::new(),
            expiry: Ok(ExpiryChoice::Default),
            not_before: None,
            ip_allow: Vec::new(),
            creation_key: None,
        }
    }
}

/// A draft whose every value can be used.
#[derive(Debug)]
pub(super) struct CheckedDraft {
    pub(super) name: TokenName,
    pub(super) description: Description,
    pub(super) audiences: Vec<AudienceId>,
    pub(super) scopes: Vec<ScopeName>,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) ip_allow: Vec<IpNet>,
}

/// What a draft is checked against.
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    pub(super) catalogues: &'a [StoredCatalogue],
    /// What the caller holds, when the caller is a token; people have rights.
    pub(super) grantable: Option<&'a [ScopeName]>,
    /// What the caller may put on tokens, when the caller is a person.
    pub(super) rights: &'a Rights,
    pub(super) now: OffsetDateTime,
}

impl TokenDraft {
    /// Checks everything but the user, and finds all mistakes, not the first alone.
    pub(super) fn check(
        &self,
        rules: &Rules<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<CheckedDraft> {
        let name = keep(self.name.parse::<TokenName>(), "name", errors);
        if let Some(name) = &name
            && let Err(error) = check_name(rules.policy, name.as_ref())
        {
            errors.push(error);
        }
        let description = keep(self.description.parse::<Description>(), "description", errors);
        let chosen = self.check_audiences(rules, errors);
        let scopes = self.check_scopes(&chosen, rules, errors);
        let expires_at = keep(
            self.expiry.clone().and_then(|choice| choice.resolve(rules.policy, rules.now)),
            "expires_at",
            errors,
        )
        .flatten();
        let not_before = self.check_not_before(expires_at, errors);
        let ip_allow = self.check_ip_allow(errors);
        if !errors.is_empty() {
            return None;
        }
        Some(CheckedDraft {
            name: name?,
            description: description?,
            audiences: chosen.iter().map(|stored| stored.id).collect(),
            scopes,
            not_before,
            expires_at,
            ip_allow,
        })
    }

    fn check_audiences<'a>(
        &self,
        rules: &Rules<'a>,
        errors: &mut Vec<FieldError>,
    ) -> Vec<&'a StoredCatalogue> {
        let default = [DEFAULT_AUDIENCE.to_owned()];
        let wanted = if self.audiences.is_empty() { &default[..] } else { &self.audiences };
        let mut seen = BTreeSet::new();
        let mut chosen = Vec::new();
        for slug in wanted.iter().filter(|slug| seen.insert(slug.as_str())) {
            match rules.catalogues.iter().find(|stored| stored.catalogue.audience.as_ref() == slug)
            {
                Some(stored) => chosen.push(stored),
                None => errors.push(FieldError::new(
                    "audiences",
                    format!("has {}, which is not an audience here", quoted(slug)),
                )),
            }
        }
        chosen
    }

    fn check_scopes(
        &self,
        chosen: &[&StoredCatalogue],
        rules: &Rules<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Vec<ScopeName> {
        if self.scopes.is_empty() {
            errors.push(FieldError::new("scopes", "must name at least one scope"));
        }
        let defines = |catalogue: &Catalogue, text: &str| {
            catalogue.scopes().any(|scope| scope.name.as_ref() == text)
        };
        let mut scopes = BTreeSet::new();
        for text in self.scopes.iter().collect::<BTreeSet<_>>() {
            let known = chosen.iter().any(|stored| defines(&stored.catalogue, text));
            match text.parse::<ScopeName>() {
                Ok(name) if known => {
                    if rules.grantable.is_some_and(|held| !held.contains(&name)) {
                        let message =
                            format!("has {name}, which the token that asks does not hold");
                        errors.push(FieldError::new("scopes", message));
                    } else if !rules.rights.covers(&name) {
                        let message = format!("has {name}, which you may not put on tokens");
                        errors.push(FieldError::new("scopes", message));
                    }
                    scopes.insert(name);
                }
                _ => {
                    let message = format!(
                        "has {}, which is not a scope of the chosen audiences",
                        quoted(text)
                    );
                    errors.push(FieldError::new("scopes", message));
                }
            }
        }
        scopes.into_iter().collect()
    }

    fn check_not_before(
        &self,
        expires_at: Option<OffsetDateTime>,
        errors: &mut Vec<FieldError>,
    ) -> Option<OffsetDateTime> {
        let text = self.not_before.as_deref()?;
        let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) else {
            let message = "must be a moment such as 2027-08-18T12:00:00Z";
            errors.push(FieldError::new("not_before", message));
            return None;
        };
        let moment = moment.to_offset(UtcOffset::UTC);
        if expires_at.is_some_and(|end| moment >= end) {
            errors.push(FieldError::new("not_before", "must be before the token expires"));
        }
        Some(moment)
    }

    fn check_ip_allow(&self, errors: &mut Vec<FieldError>) -> Vec<IpNet> {
        if self.ip_allow.len() > RANGES_MAX {
            let message = format!("must have at most {RANGES_MAX} ranges");
            errors.push(FieldError::new("ip_allow", message));
            return Vec::new();
        }
        let mut ranges = BTreeSet::new();
        for text in &self.ip_allow {
            let text = text.trim();
            let range = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
            match range {
                Ok(range) => {
                    ranges.insert(range.trunc());
                }
                Err(_) => errors.push(FieldError::new(
                    "ip_allow",
                    format!(
                        "has {}, which is no address or range such as 10.0.0.0/8",
                        quoted(text)
                    ),
                )),
            }
        }
        ranges.into_iter().collect()
    }
}

fn keep<T, E: std::fmt::Display>(
    outcome: Result<T, E>,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    outcome.map_err(|error| errors.push(FieldError::new(field, error))).ok()
}

/// Somebody's text within a message: short, and without anything that a terminal obeys.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().count() > 64 {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests {
    use domain::catalogue::{Risk, Scope, ScopeGroup};
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    fn catalogues() -> Vec<StoredCatalogue> {
        let scope = |name: &str| Scope {
            name: name.parse().unwrap(),
            description: Description::default(),
            risk: Risk::Read,
            implies: vec![],
        };
        vec![StoredCatalogue {
            id: AudienceId(Uuid::nil()),
            catalogue: Catalogue {
                audience: "default".parse().unwrap(),
                name: "Default".parse().unwrap(),
                description: Description::default(),
                groups: vec![ScopeGroup {
                    name: "Rivers".parse().unwrap(),
                    description: Description::default(),
                    scopes: vec![scope("rivers:read"), scope("rivers:run")],
                }],
            },
        }]
    }

    fn check(
        draft: &TokenDraft,
        grantable: Option<&[ScopeName]>,
    ) -> Result<CheckedDraft, Vec<String>> {
        let policy = Policy::default();
        let catalogues = catalogues();
        let rules = Rules {
            policy: &policy,
            catalogues: &catalogues,
            grantable,
            rights: &Rights::All,
            now: NOW,
        };
        let mut errors = Vec::new();
        let checked = draft.check(&rules, &mut errors);
        checked.ok_or_else(|| {
            errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).collect()
        })
    }

    fn draft() -> TokenDraft {
        TokenDraft {
            name: "ci".into(),
            scopes: vec!["rivers:run".into(), "rivers:run".into()],
            ..TokenDraft::default()
        }
    }

    #[test]
    fn draft_of_name_and_scope_is_enough() {
        let checked = check(&draft(), None).unwrap();
        assert_eq!(checked.scopes, ["rivers:run".parse().unwrap()]);
        assert_eq!(checked.audiences.len(), 1);
        assert_eq!(checked.expires_at, Some(datetime!(2026-04-02 00:00 UTC)));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let draft = TokenDraft {
            name: "x".repeat(10_000),
            description: "a\0b".into(),
            audiences: vec!["nowhere".into()],
            scopes: vec!["rivers:fly".into()],
            expiry: domain::expiry::parse("2020-01-01"),
            not_before: Some("tomorrow".into()),
            ip_allow: vec!["10.0.0.0/33".into()],
            ..draft()
        };
        assert_eq!(
            check(&draft, None).unwrap_err(),
            [
                "name must have at most 128 characters; this has 10000",
                "description must not contain the character U+0000",
                "audiences has \"nowhere\", which is not an audience here",
                "scopes has \"rivers:fly\", which is not a scope of the chosen audiences",
                "expires_at must be in the future",
                "not_before must be a moment such as 2027-08-18T12:00:00Z",
                "ip_allow has \"10.0.0.0/33\", which is no address or range such as 10.0.0.0/8",
            ]
        );
    }

    #[test]
    fn no_scope_is_no_token() {
        let draft = TokenDraft { scopes: vec![], ..draft() };
        assert_eq!(check(&draft, None).unwrap_err(), ["scopes must name at least one scope"]);
    }

    #[test]
    fn token_cannot_grant_what_it_does_not_hold() {
        let held = ["rivers:read".parse().unwrap()];
        assert_eq!(
            check(&draft(), Some(&held)).unwrap_err(),
            ["scopes has rivers:run, which the token that asks does not hold"]
        );
    }

    #[test]
    fn ranges_are_kept_in_one_spelling() {
        let draft = TokenDraft {
            ip_allow: vec!["10.1.2.3/8".into(), "10.0.0.0/8".into(), " ::1 ".into()],
            ..draft()
        };
        let ranges: Vec<_> =
            check(&draft, None).unwrap().ip_allow.iter().map(ToString::to_string).collect();
        assert_eq!(ranges, ["10.0.0.0/8", "::1/128"]);
    }

    proptest! {
        #[test]
        fn checking_any_draft_never_panics(
            name in any::<String>(), audience in any::<String>(), scope in any::<String>(),
            moment in any::<String>(), range in any::<String>(),
        ) {
            let draft = TokenDraft {
                name, audiences: vec![audience], scopes: vec![scope], not_before: Some(moment),
                ip_allow: vec![range], ..TokenDraft::default()
            };
            let _ = check(&draft, None);
        }
    }
}
