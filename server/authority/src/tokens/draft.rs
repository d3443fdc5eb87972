//! The draft of a token, as a caller requests it, and the checks that find all mistakes in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::{Facts, STEPS_MAX};
use domain::{
    catalogue::ScopeName,
    expiry::{ExpiryChoice, ExpiryError},
    grants::Rights,
    names::{Description, TokenName},
    policy::Policy,
    problem::FieldError,
    rate_limit::{RateLimit, RateLimitError},
    scope_pattern::Steps,
    tags::Tags,
};
use ipnet::IpNet;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    access::Held,
    store::catalogues::StoredCatalogue,
    tokens::{
        draft_grants::CheckedGrants,
        fields::{ip_allow, keep, not_before, rate_limit},
        reach::may_be_recoverable,
    },
};

/// A token to create, as a surface received it.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    /// The name.
    pub name: String,
    /// The purpose of the token.
    pub description: String,
    /// E-mail address or id of the owner. Defaults to the caller.
    pub user: Option<String>,
    /// The scopes that the token holds, by audience. `None` if `audiences` and `scopes` are
    /// used instead.
    pub grants: Option<BTreeMap<String, Vec<String>>>,
    /// The audiences that the token is meant for. Defaults to `default`.
    pub audiences: Vec<String>,
    /// The scopes. Each is held in every one of `audiences` that declares it.
    pub scopes: Vec<String>,
    /// The expiry, as [`domain::expiry::parse`] read it.
    pub expiry: Result<ExpiryChoice, ExpiryError>,
    /// The moment from which the token is valid, RFC 3339.
    pub not_before: Option<String>,
    /// Addresses or CIDR ranges from which the token may be used. Empty for anywhere.
    pub ip_allow: Vec<String>,
    /// The maximum rate of use, as [`RateLimit`] read it. `None` for no limit.
    pub rate_limit: Result<Option<RateLimit>, RateLimitError>,
    /// Whether the secret is kept sealed, so that it can be shown again.
    pub recoverable: Recoverable,
    /// The tags of the token.
    pub tags: BTreeMap<String, String>,
    /// The key of the form that creates the token. A form that is submitted twice creates
    /// one token.
    pub creation_key: Option<Uuid>,
    /// Whether the token is created disabled.
    pub disabled: bool,
    /// Whether to append a number to the name if it is in use and policy requires unique names.
    /// Meant for surfaces whose callers don't choose names.
    pub number_name: bool,
    /// Whether an end later than the caller may set is shortened to the latest possible one. Meant
    /// for surfaces whose callers don't choose ends.
    pub cut_end: bool,
}

/// The caller's choice whether the secret is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recoverable {
    /// The secret is shown once.
    #[default]
    No,
    /// The secret is kept. If policy doesn't allow that, the token is refused.
    Yes,
    /// The secret is kept if policy allows that, and is otherwise shown once.
    IfAllowed,
}

impl From<bool> for Recoverable {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Yes } else { Self::No }
    }
}

impl Default for TokenDraft {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            user: None,
            grants: None,
            audiences: Vec::new(),
            scopes: Vec::new(),
            expiry: Ok(ExpiryChoice::Default),
            not_before: None,
            ip_allow: Vec::new(),
            rate_limit: Ok(None),
            recoverable: Recoverable::No,
            tags: BTreeMap::new(),
            creation_key: None,
            disabled: false,
            number_name: false,
            cut_end: false,
        }
    }
}

/// A draft with valid values only.
#[derive(Clone, Debug)]
pub(crate) struct CheckedDraft {
    pub(crate) name: TokenName,
    pub(crate) description: Description,
    pub(crate) grants: CheckedGrants,
    pub(crate) not_before: Option<OffsetDateTime>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) ip_allow: Vec<IpNet>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) recoverable: bool,
    pub(crate) tags: Tags,
}

/// The rules that a draft is checked against.
pub(crate) struct Rules<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) catalogues: &'a [StoredCatalogue],
    /// The scopes of the calling token; `None` for people, who have `rights` instead.
    pub(crate) grantable: Option<Held<'a>>,
    /// The scopes that a calling person may put on tokens.
    pub(crate) rights: &'a Rights,
    pub(crate) now: OffsetDateTime,
}

impl TokenDraft {
    /// Returns the draft of a token that may do what this one may do at present: with the same
    /// audiences and those of its scopes that are granted now.
    pub fn like(facts: &Facts) -> Self {
        let grants = facts.surroundings.rights.iter().map(|rights| {
            let mut steps = Steps::new(STEPS_MAX);
            let all = rights.scopes.iter().all(|scope| rights.grants_within(scope, &mut steps));
            // If the scope itself is no longer granted, scopes that it implied may still be.
            let scopes = if all { &rights.scopes } else { &rights.granted };
            (rights.audience.to_string(), scopes.iter().map(ToString::to_string).collect())
        });
        Self { grants: Some(grants.collect()), ..Self::default() }
    }

    /// Checks everything except the user and the policy's name patterns. Reports all mistakes, not
    /// only the first. Uses `steps` to compare scopes.
    pub(crate) fn check(
        &self,
        rules: &Rules<'_>,
        errors: &mut Vec<FieldError>,
        steps: &mut Steps,
    ) -> Option<CheckedDraft> {
        let name = keep(self.name.parse::<TokenName>(), "name", errors);
        let description = keep(self.description.parse::<Description>(), "description", errors);
        let grants = self.check_grants(rules, errors, steps);
        let expires_at = keep(
            self.expiry.clone().and_then(|choice| choice.resolve(rules.policy, rules.now)),
            "expires_at",
            errors,
        )
        .flatten();
        let not_before = not_before(self.not_before.as_deref(), expires_at, errors);
        let ip_allow = ip_allow(&self.ip_allow, errors);
        let rate_limit = rate_limit(self.rate_limit, errors).flatten();
        let tags = keep(Tags::try_from(self.tags.clone()), "tags", errors);
        let allowed = may_be_recoverable(rules.policy);
        if self.recoverable == Recoverable::Yes && !allowed {
            let message = "is not allowed by the policy of this workspace";
            errors.push(FieldError::new("recoverable", message));
        }
        if !errors.is_empty() {
            return None;
        }
        Some(CheckedDraft {
            name: name?,
            description: description?,
            grants,
            not_before,
            expires_at,
            ip_allow,
            rate_limit,
            recoverable: allowed && self.recoverable != Recoverable::No,
            tags: tags?,
        })
    }
}

impl CheckedDraft {
    /// Returns the names of its scopes in all audiences, each once.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let scopes: BTreeSet<&ScopeName> =
            self.grants.iter().flat_map(|(_, scopes)| scopes).collect();
        scopes.into_iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::AudienceRights;
    use domain::{
        catalogue::{Catalogue, Risk, Scope, ScopeGroup},
        ids::AudienceId,
    };
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    /// Returns several catalogues. That of the audience `vault` has a scope with the same name as
    /// one of `tessera`.
    fn catalogues() -> Vec<StoredCatalogue> {
        let scope = |name: &str| Scope {
            name: name.parse().unwrap(),
            description: Description::default(),
            risk: Risk::Read,
            implies: vec![],
        };
        let stored = |id: u128, audience: &str, scopes: &[&str]| StoredCatalogue {
            id: AudienceId(Uuid::from_u128(id)),
            catalogue: Catalogue {
                audience: audience.parse().unwrap(),
                name: "Default".parse().unwrap(),
                description: Description::default(),
                groups: vec![ScopeGroup {
                    name: "Rivers".parse().unwrap(),
                    description: Description::default(),
                    scopes: scopes.iter().map(|name| scope(name)).collect(),
                }],
            },
            retired: vec!["table://my.old".parse().unwrap()],
        };
        vec![
            stored(0, "default", &["rivers:read", "rivers:run", "table://my.**"]),
            stored(1, "tessera", &["tokens:write", "verify"]),
            stored(2, "vault", &["tokens:write", "rivers:read"]),
        ]
    }

    fn check(draft: &TokenDraft, held: Option<&[ScopeName]>) -> Result<CheckedDraft, Vec<String>> {
        check_for(draft, held.map(|scopes| ("default", scopes)))
    }

    fn check_for(
        draft: &TokenDraft,
        held: Option<(&str, &[ScopeName])>,
    ) -> Result<CheckedDraft, Vec<String>> {
        let policy = Policy::default();
        let catalogues = catalogues();
        let rights = held.map(|(audience, scopes)| AudienceRights {
            audience: audience.parse().unwrap(),
            scopes: [].into(),
            granted: scopes.into(),
        });
        let rules = Rules {
            policy: &policy,
            catalogues: &catalogues,
            grantable: rights.as_ref().map(|rights| Held(std::slice::from_ref(rights))),
            rights: &Rights::All,
            now: NOW,
        };
        let mut errors = Vec::new();
        let checked = draft.check(&rules, &mut errors, &mut Steps::new(1_000_000));
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
    fn draft_needs_only_name_and_scope() {
        let checked = check(&draft(), None).unwrap();
        assert_eq!(
            checked.grants,
            [(AudienceId(Uuid::nil()), vec!["rivers:run".parse().unwrap()])]
        );
        assert_eq!(checked.expires_at, Some(datetime!(2026-04-02 00:00 UTC)));
    }

    #[test]
    fn every_mistake_is_reported_together() {
        let draft = TokenDraft {
            name: "x".repeat(10_000),
            description: "a\0b".into(),
            audiences: vec!["nowhere".into()],
            scopes: vec!["rivers:fly".into()],
            expiry: domain::expiry::parse("2020-01-01"),
            not_before: Some("tomorrow".into()),
            ip_allow: vec!["10.0.0.0/33".into()],
            rate_limit: RateLimit::new(0, 60).map(Some),
            ..draft()
        };
        assert_eq!(
            check(&draft, None).unwrap_err(),
            [
                "name must have at most 128 characters; this has 10000",
                "description must not contain the character U+0000",
                "audiences has \"nowhere\", which is not an audience of this instance",
                "scopes has \"rivers:fly\", which is not a scope of the chosen audiences",
                "expires_at must be in the future",
                "not_before must be a time such as 2027-08-18T12:00:00Z",
                "ip_allow has \"10.0.0.0/33\", which is not an address or a range such as 10.0.0.0/8",
                "rate_limit.limit must be 1 to 1,000,000",
            ]
        );
    }

    #[test]
    fn draft_without_a_scope_is_refused() {
        let draft = TokenDraft { scopes: vec![], ..draft() };
        assert_eq!(check(&draft, None).unwrap_err(), ["scopes must contain at least one scope"]);
    }

    #[test]
    fn token_cannot_grant_what_it_does_not_hold() {
        let held = ["rivers:read".parse().unwrap()];
        assert_eq!(
            check(&draft(), Some(&held)).unwrap_err(),
            ["scopes has rivers:run, which the calling token does not hold"]
        );
    }

    #[test]
    fn token_cannot_create_a_token_for_an_audience_that_it_lacks() {
        let held = ["rivers:run".parse().unwrap()];
        let ask = |audience: &str| check_for(&draft(), Some((audience, &held))).map(drop);
        assert_eq!(ask("default"), Ok(()));
        let message = "audiences has default, which the calling token is not meant for";
        let lacking = "scopes has rivers:run, which the calling token does not hold";
        assert_eq!(ask("other"), Err(vec![message.to_owned(), lacking.to_owned()]));
    }

    #[test]
    fn flat_scope_is_held_in_every_named_audience_that_declares_it() {
        let draft = TokenDraft {
            audiences: vec!["vault".into(), "default".into()],
            scopes: vec!["rivers:read".into(), "rivers:run".into(), "tokens:write".into()],
            ..draft()
        };
        let scopes = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(
            check(&draft, None).unwrap().grants,
            [
                (AudienceId(Uuid::from_u128(2)), scopes(&["rivers:read", "tokens:write"])),
                (AudienceId(Uuid::nil()), scopes(&["rivers:read", "rivers:run"])),
            ]
        );
    }

    #[test]
    fn flat_scope_that_tessera_and_another_audience_declare_is_refused() {
        let audiences = vec!["tessera".into(), "vault".into()];
        let scopes = vec!["verify".into(), "tokens:write".into()];
        let flat = TokenDraft { audiences, scopes, ..draft() };
        assert_eq!(
            check(&flat, None).unwrap_err(),
            [
                "scopes has tokens:write, which tessera and vault declare: use grants to name the audience"
            ]
        );
        let said =
            TokenDraft { scopes: vec![], ..granting(&["tessera/verify", "vault/tokens:write"]) };
        assert_eq!(check(&said, None).unwrap().grants.len(), 2);
    }

    fn granting(pairs: &[&str]) -> TokenDraft {
        let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in pairs {
            let (audience, scope) = pair.split_once('/').unwrap();
            grants.entry(audience.into()).or_default().push(scope.into());
        }
        TokenDraft { grants: Some(grants), scopes: vec![], ..draft() }
    }

    #[test]
    fn every_pair_is_checked_separately() {
        for (pairs, expected) in [
            (&["vault/verify"][..], "grants has \"verify\", which is not a scope of vault"),
            (&["nowhere/a"], "grants has \"nowhere\", which is not an audience of this instance"),
            (&[], "grants must contain at least one scope"),
        ] {
            assert_eq!(check(&granting(pairs), None).unwrap_err(), [expected]);
        }
        let held = ["tokens:write".parse().unwrap()];
        let ask = |pair: &str| check_for(&granting(&[pair]), Some(("vault", &held))).map(drop);
        assert_eq!(ask("vault/tokens:write"), Ok(()));
        assert_eq!(
            ask("tessera/tokens:write").unwrap_err(),
            [
                "grants has tessera, which the calling token is not meant for",
                "grants has tessera/tokens:write, which the calling token does not hold",
            ]
        );
        let both = TokenDraft { scopes: vec!["verify".into()], ..granting(&["tessera/verify"]) };
        let message = "grants cannot be combined with audiences or scopes";
        assert_eq!(check(&both, None).unwrap_err(), [message]);
    }

    #[test]
    fn token_cannot_grant_more_of_a_pattern_than_it_holds() {
        let ask = |scope: &str, held: &str| {
            let draft = TokenDraft { scopes: vec![scope.into()], ..draft() };
            check(&draft, Some(&[held.parse().unwrap()])).map(|checked| checked.grants[0].1.clone())
        };
        let refused = |scope: &str| {
            vec![format!("scopes has {scope}, which the calling token does not hold")]
        };
        let part: ScopeName = "table://my.app.*".parse().unwrap();
        assert_eq!(ask("TABLE://my.app.*", "table://my.app.**").unwrap(), [part]);
        // `?` also matches a literal star, but a pattern must be covered, not only matched.
        assert_eq!(ask("table://my.*", "table://my.?").unwrap_err(), refused("table://my.*"));
        assert_eq!(
            ask("table://my.**", "table://my.app.**").unwrap_err(),
            refused("table://my.**")
        );
        assert_eq!(ask("rivers:read", "table://my.**").unwrap_err(), refused("rivers:read"));
    }

    #[test]
    fn pattern_is_a_scope_if_a_catalogue_pattern_covers_it() {
        let ask = |scope: &str| {
            let draft = TokenDraft { scopes: vec![scope.into()], ..draft() };
            check(&draft, None).map(drop)
        };
        assert_eq!(ask("table://my.app.test"), Ok(()));
        for scope in ["table://**", "table://my", "level://admin", "table://my.old"] {
            let message =
                format!("scopes has \"{scope}\", which is not a scope of the chosen audiences");
            assert_eq!(ask(scope), Err(vec![message]));
        }
    }

    #[test]
    fn secret_is_stored_only_if_requested_and_allowed() {
        use Recoverable::{IfAllowed, No, Yes};
        use domain::policy::Reveal;
        let kept = |recoverable: Recoverable, reveal: Reveal| {
            let policy = Policy { reveal, ..Policy::default() };
            let catalogues = catalogues();
            let rules = Rules {
                policy: &policy,
                catalogues: &catalogues,
                grantable: None,
                rights: &Rights::All,
                now: NOW,
            };
            let draft = TokenDraft { recoverable, ..draft() };
            let checked = draft.check(&rules, &mut Vec::new(), &mut Steps::new(1_000));
            checked.map(|checked| checked.recoverable)
        };
        for (wanted, once, allowed) in [
            (No, Some(false), Some(false)),
            (Yes, None, Some(true)),
            (IfAllowed, Some(false), Some(true)),
        ] {
            assert_eq!(kept(wanted, Reveal::Once), once, "{wanted:?}");
            assert_eq!(kept(wanted, Reveal::RecoverableAllowed), allowed, "{wanted:?}");
        }
    }

    #[test]
    fn ranges_are_stored_in_canonical_form() {
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
