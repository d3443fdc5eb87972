//! Grants: the scopes that a member of a workspace may put on tokens, and the scopes that a token
//! keeps while it acts as that member.
//!
//! A pattern may name its audience, as in `vault/tokens:*`. A pattern that names none applies to
//! every audience that has such scopes, including Tessera's own. It does not extend to further
//! audiences later: when a catalogue first gets such scopes, the audiences that had them before are
//! written into the stored patterns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Catalogue, Risk, ScopeName, TESSERA_AUDIENCE},
    held::{HeldScope, split_pair},
    names::{AudienceSlug, NameError},
    parsed::parsed_string,
    roles::{InstanceRole, WorkspaceRole},
    scope_pattern::Steps,
};

/// The maximum number of patterns of a membership.
pub const GRANTS_MAX: usize = 64;

/// A pattern of scopes: `*` for all, `rivers:*` for all that begin with `rivers:`, or the name of
/// one scope. It applies to every audience, or to the one that is named before a `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantPattern(String);
parsed_string!(GrantPattern, NameError, parse_pattern);

impl GrantPattern {
    /// Returns the audience that the pattern applies to; `None` means every audience.
    pub fn audience(&self) -> Option<&str> {
        split_pair(&self.0).map(|(audience, _)| audience)
    }

    /// Returns whether the pattern covers this scope of this audience.
    pub fn covers(&self, audience: &AudienceSlug, scope: &ScopeName) -> bool {
        self.audience().is_none_or(|own| own == audience.as_ref()) && self.covers_name(scope)
    }

    /// Returns whether the pattern covers every scope of every audience.
    pub fn is_all(&self) -> bool {
        self.0 == "*"
    }

    /// Returns the same pattern for one audience. Only for patterns that name none.
    #[must_use]
    pub fn of_audience(&self, audience: &AudienceSlug) -> Self {
        Self(format!("{audience}/{}", self.0))
    }

    /// Returns whether the pattern covers any of these scopes of an audience, or a part of one.
    /// Only for patterns that name no audience.
    pub fn means_some<'a>(&self, mut scopes: impl Iterator<Item = &'a ScopeName>) -> bool {
        let own = if self.beginning().is_none() { self.scope() } else { None };
        scopes.any(|scope| {
            self.covers_name(scope) || own.as_ref().is_some_and(|own| holds(scope, own))
        })
    }

    /// Returns whether the pattern could cover a part of any of these scopes. Two URI patterns of
    /// the same scheme may overlap.
    pub fn may_mean_some<'a>(
        &self,
        mut scopes: impl Iterator<Item = &'a ScopeName> + Clone,
    ) -> bool {
        let own = self.scope().filter(ScopeName::is_uri);
        self.means_some(scopes.clone())
            || own.is_some_and(|own| scopes.any(|scope| scope.scheme() == own.scheme()))
    }

    fn covers_name(&self, scope: &ScopeName) -> bool {
        match self.beginning() {
            Some(beginning) => scope.as_ref().starts_with(beginning),
            None => self.scope().is_some_and(|own| holds(&own, scope)),
        }
    }

    /// Returns whether this pattern covers everything that the other one covers.
    fn covers_pattern(&self, other: &Self) -> bool {
        if self.audience().is_some_and(|own| other.audience() != Some(own)) {
            return false;
        }
        match (self.beginning(), other.beginning(), other.scope()) {
            (Some(beginning), Some(others), _) => others.starts_with(beginning),
            (_, None, Some(scope)) => self.covers_name(&scope),
            _ => false,
        }
    }

    /// Returns the prefix that all covered scopes share; `None` if the pattern is the name of one
    /// scope. The asterisks of a URI belong to the URI itself.
    fn beginning(&self) -> Option<&str> {
        let name = self.name();
        if name == "*" {
            return Some("");
        }
        name.strip_suffix('*').filter(|rest| rest.ends_with(':') && !rest.contains("://"))
    }

    fn scope(&self) -> Option<ScopeName> {
        self.name().parse().ok()
    }

    fn name(&self) -> &str {
        split_pair(&self.0).map_or(&self.0, |(_, name)| name)
    }
}

impl From<HeldScope> for GrantPattern {
    fn from(held: HeldScope) -> Self {
        Self(held.to_string())
    }
}

/// Returns whether a grant of one scope includes the other. All comparisons in this module go
/// through this function or [`holds_within`].
fn holds(held: &ScopeName, scope: &ScopeName) -> bool {
    held.covers(scope)
}

/// Like [`holds`], for many scopes that share `steps`. Also returns `false` if the steps run out.
fn holds_within(held: &ScopeName, scope: &ScopeName, steps: &mut Steps) -> bool {
    steps.lend(|steps| held.covers_within(scope, steps))
}

/// A parsed pattern, for comparison with many scopes.
struct Read<'a> {
    audience: Option<&'a str>,
    beginning: Option<&'a str>,
    scope: Option<ScopeName>,
}

impl<'a> Read<'a> {
    fn of(pattern: &'a GrantPattern) -> Self {
        let beginning = pattern.beginning();
        let scope = if beginning.is_none() { pattern.scope() } else { None };
        Self { audience: pattern.audience(), beginning, scope }
    }

    /// Like [`GrantPattern::covers`], but also returns `false` if the steps run out.
    fn covers_within(&self, audience: &AudienceSlug, scope: &ScopeName, steps: &mut Steps) -> bool {
        steps.take(1)
            && self.audience.is_none_or(|own| own == audience.as_ref())
            && match (self.beginning, &self.scope) {
                (Some(beginning), _) => scope.as_ref().starts_with(beginning),
                (None, own) => own.as_ref().is_some_and(|own| holds_within(own, scope, steps)),
            }
    }
}

fn parse_pattern(text: &str) -> Result<String, NameError> {
    const FORM: NameError = NameError::Form(
        "must be *, a prefix such as rivers:*, or a scope such as rivers:read, with an optional audience in front, as in default/rivers:*",
    );
    let name = match split_pair(text) {
        Some((audience, name)) => {
            audience.parse::<AudienceSlug>().map_err(|_| FORM)?;
            name
        }
        None => text,
    };
    if name == "*" {
        return Ok(text.to_owned());
    }
    let name = name.strip_suffix(":*").filter(|name| !name.contains("://")).unwrap_or(name);
    name.parse::<ScopeName>().map_err(|_| FORM)?;
    Ok(text.to_owned())
}

/// The scopes that a member may put on tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grants {
    /// Every scope.
    All,
    /// Scopes of the risk `read`.
    Reading,
    /// The scope `verify` of the audience `tessera`.
    Verifying,
    /// The scopes that these patterns cover; none if the list is empty.
    Patterns(Vec<GrantPattern>),
}

/// A scope as its catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownScope {
    /// The scope's audience.
    pub audience: AudienceSlug,
    /// The scope's name.
    pub name: ScopeName,
    /// How much harm the scope can do.
    pub risk: Risk,
    /// Everything that the scope implies, directly or through other scopes.
    pub implies: Vec<ScopeName>,
}

/// The scopes that a user or token holds in a set of catalogues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Every scope.
    All,
    /// These scopes, with everything they imply. Each belongs to one audience, or to every audience
    /// for `None`.
    Of(BTreeSet<(Option<AudienceSlug>, ScopeName)>),
}

impl Grants {
    /// Returns the scopes that a user with these roles may put on tokens of the workspace.
    /// Patterns, if there are any, replace the grants of the workspace role. They do not restrict
    /// administrators of the instance.
    pub fn of(
        instance: InstanceRole,
        workspace: Option<WorkspaceRole>,
        patterns: Option<&[GrantPattern]>,
    ) -> Self {
        if matches!(instance, InstanceRole::Owner | InstanceRole::Admin) {
            return Self::All;
        }
        match (workspace, patterns) {
            (None, _) => Self::Patterns(Vec::new()),
            (Some(_), Some(patterns)) => Self::Patterns(patterns.to_vec()),
            (Some(WorkspaceRole::Admin | WorkspaceRole::Member), None) => Self::All,
            (Some(WorkspaceRole::Viewer), None) => Self::Reading,
            (Some(WorkspaceRole::Verifier), None) => Self::Verifying,
        }
    }

    /// Returns grants of exactly these scopes: the ones that a token may pass on.
    pub fn exactly(held: impl IntoIterator<Item = HeldScope>) -> Self {
        Self::Patterns(held.into_iter().map(Into::into).collect())
    }

    /// Returns whether everything is granted, which needs no look-up in a catalogue.
    pub fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Patterns(patterns) => patterns.iter().any(GrantPattern::is_all),
            Self::Reading | Self::Verifying => false,
        }
    }

    /// Returns whether these grants never exceed the other ones, whatever scopes exist.
    pub fn is_within(&self, other: &Self) -> bool {
        if other.is_all() || self == other {
            return true;
        }
        match (self, other) {
            (Self::Patterns(own), Self::Patterns(others)) => {
                own.iter().all(|pattern| others.iter().any(|other| other.covers_pattern(pattern)))
            }
            // Tessera's own catalogue gives `verify` the risk `read`.
            (Self::Verifying, Self::Reading) => true,
            (Self::Verifying, Self::Patterns(others)) => {
                others.iter().any(|pattern| pattern.covers_pattern(&verifying()))
            }
            (Self::Patterns(own), _) => own.is_empty(),
            _ => false,
        }
    }

    /// Returns the rights that these grants give within the scopes of these catalogues.
    pub fn rights<'a>(&self, known: impl IntoIterator<Item = &'a KnownScope>) -> Rights {
        self.rights_within(known, &mut Steps::new(u32::MAX))
    }

    /// Like [`Self::rights`], with `steps` to compare scopes. Returns fewer rights if the
    /// steps run out.
    pub fn rights_within<'a>(
        &self,
        known: impl IntoIterator<Item = &'a KnownScope>,
        steps: &mut Steps,
    ) -> Rights {
        if self.is_all() {
            return Rights::All;
        }
        let patterns: Vec<Read<'_>> = match self {
            Self::Patterns(patterns) => patterns.iter().map(Read::of).collect(),
            Self::All | Self::Reading | Self::Verifying => Vec::new(),
        };
        // The name of a scope grants that scope; the scopes it implies come from its catalogue.
        let mut rights: BTreeSet<(Option<AudienceSlug>, ScopeName)> = patterns
            .iter()
            .filter_map(|pattern| {
                let audience = pattern.audience.map(str::parse).transpose().ok()?;
                Some((audience, pattern.scope.clone()?))
            })
            .collect();
        for scope in known {
            let granted = match self {
                Self::All => true,
                Self::Reading => scope.risk == Risk::Read,
                Self::Verifying => verifying().covers(&scope.audience, &scope.name),
                Self::Patterns(_) => patterns
                    .iter()
                    .any(|pattern| pattern.covers_within(&scope.audience, &scope.name, steps)),
            };
            if granted {
                let of_audience = |name: &ScopeName| (Some(scope.audience.clone()), name.clone());
                rights.insert(of_audience(&scope.name));
                // A user who may grant a scope may also grant the scopes that it implies. `Reading`
                // does not include implied scopes of another risk.
                if matches!(self, Self::Patterns(_)) {
                    rights.extend(scope.implies.iter().map(of_audience));
                }
            }
        }
        Rights::Of(rights)
    }
}

fn verifying() -> GrantPattern {
    GrantPattern(format!("{TESSERA_AUDIENCE}/verify"))
}

impl Rights {
    /// Returns whether these rights include this scope of this audience.
    pub fn covers(&self, audience: &AudienceSlug, scope: &ScopeName) -> bool {
        self.covers_within(audience, scope, &mut Steps::new(u32::MAX))
    }

    /// Like [`Self::covers`], for many scopes that share `steps`. Also returns `false` if the steps
    /// run out.
    pub fn covers_within(
        &self,
        audience: &AudienceSlug,
        scope: &ScopeName,
        steps: &mut Steps,
    ) -> bool {
        let scopes = match self {
            Self::All => return true,
            Self::Of(scopes) => scopes,
        };
        let by_name = |audience| scopes.contains(&(audience, scope.clone()));
        // Two searches take about as long as this many steps.
        steps.take(16)
            && (by_name(Some(audience.clone()))
                || by_name(None)
                // Only a scope of the same name covers an exact name.
                || scope.is_uri()
                    && scopes.iter().any(|(of, held)| {
                        steps.take(1)
                            && of.as_ref().is_none_or(|own| own == audience)
                            && holds_within(held, scope, steps)
                    }))
    }

    /// Returns the scopes that a token keeps in an audience while it acts as an owner with these
    /// rights. `granted` are the token's scopes with everything they imply.
    #[must_use]
    pub fn cut(&self, audience: &AudienceSlug, granted: Vec<ScopeName>) -> Vec<ScopeName> {
        self.cut_within(audience, granted, &mut Steps::new(u32::MAX))
    }

    /// Like [`Self::cut`], with `steps` to compare scopes. Keeps fewer scopes if the steps run out.
    #[must_use]
    pub fn cut_within(
        &self,
        audience: &AudienceSlug,
        mut granted: Vec<ScopeName>,
        steps: &mut Steps,
    ) -> Vec<ScopeName> {
        granted.retain(|scope| self.covers_within(audience, scope, steps));
        granted
    }
}

/// Returns the scopes of a catalogue, each with everything it implies.
pub fn known_scopes(catalogue: &Catalogue) -> Vec<KnownScope> {
    catalogue
        .scopes()
        .map(|scope| KnownScope {
            audience: catalogue.audience.clone(),
            name: scope.name.clone(),
            risk: scope.risk,
            implies: catalogue
                .closure([&scope.name])
                .into_iter()
                .filter(|name| **name != scope.name)
                .cloned()
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(texts: &[&str]) -> Grants {
        Grants::Patterns(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn known() -> Vec<KnownScope> {
        let scope = |name: &str, risk, implies: &[&str]| KnownScope {
            audience: if name == "verify" { "tessera" } else { "default" }.parse().unwrap(),
            name: name.parse().unwrap(),
            risk,
            implies: implies.iter().map(|name| name.parse().unwrap()).collect(),
        };
        vec![
            scope("rivers:read", Risk::Read, &[]),
            scope("rivers:write", Risk::Write, &["rivers:read"]),
            scope("rivers:run", Risk::Write, &[]),
            scope("riversides:read", Risk::Read, &[]),
            scope("teams:write", Risk::Admin, &["teams:read"]),
            scope("teams:read", Risk::Read, &[]),
            scope("verify", Risk::Read, &[]),
        ]
    }

    fn slug(text: &str) -> AudienceSlug {
        text.parse().unwrap()
    }

    fn left(grants: &Grants, scopes: &[&str]) -> Vec<String> {
        let rights = grants.rights(&known());
        let of = |name: &str| slug(if name == "verify" { "tessera" } else { "default" });
        let left = |name: &&&str| rights.covers(&of(name), &name.parse().unwrap());
        scopes.iter().filter(left).map(ToString::to_string).collect()
    }

    #[test]
    fn pattern_is_a_star_a_prefix_or_a_name() {
        for good in [
            "*",
            "rivers:*",
            "a:b:*",
            "rivers:read",
            "table://a/b",
            "vault/*",
            "vault/a:*",
            "vault/table://a/b",
        ] {
            assert!(good.parse::<GrantPattern>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "rivers*",
            "**",
            "*:read",
            ":*",
            "a b",
            "rivers:**",
            "A",
            "/a",
            "A/b",
            "a/",
            "a/b/c",
        ] {
            assert!(bad.parse::<GrantPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn role_determines_grants_unless_patterns_are_set() {
        use WorkspaceRole::{Admin, Member, Verifier, Viewer};
        let of = |role| Grants::of(InstanceRole::Member, role, None);
        assert_eq!(of(Some(Admin)), Grants::All);
        assert_eq!(of(Some(Member)), Grants::All);
        assert_eq!(of(Some(Viewer)), Grants::Reading);
        assert_eq!(of(Some(Verifier)), Grants::Verifying);
        assert_eq!(of(None), Grants::Patterns(vec![]));
        assert_eq!(Grants::of(InstanceRole::Admin, None, Some(&[])), Grants::All);
        assert_eq!(Grants::of(InstanceRole::Auditor, Some(Member), Some(&[])), patterns(&[]));
    }

    #[test]
    fn token_keeps_the_scopes_that_its_owner_may_grant() {
        let all = ["rivers:read", "rivers:write", "teams:read", "verify"];
        assert_eq!(left(&Grants::All, &all), all);
        assert_eq!(left(&patterns(&["*"]), &all), all);
        assert_eq!(left(&Grants::Reading, &all), ["rivers:read", "teams:read", "verify"]);
        assert_eq!(left(&Grants::Verifying, &all), ["verify"]);
        assert_eq!(left(&patterns(&["rivers:*"]), &all), ["rivers:read", "rivers:write"]);
        assert_eq!(left(&patterns(&["rivers:*"]), &["riversides:read"]), [""; 0]);
        assert_eq!(left(&patterns(&["rivers:write"]), &all), ["rivers:read", "rivers:write"]);
        assert_eq!(left(&patterns(&["rivers:read"]), &all), ["rivers:read"]);
        assert_eq!(left(&patterns(&[]), &all), [""; 0]);
    }

    #[test]
    fn pattern_with_an_audience_has_no_effect_in_others() {
        let rights = patterns(&["vault/tokens:*", "vault/x", "tessera/verify", "a:b"]).rights(&[
            KnownScope {
                audience: slug("tessera"),
                name: "tokens:write".parse().unwrap(),
                risk: Risk::Write,
                implies: vec![],
            },
            KnownScope {
                audience: slug("vault"),
                name: "tokens:write".parse().unwrap(),
                risk: Risk::Write,
                implies: vec!["tokens:read".parse().unwrap()],
            },
        ]);
        for (audience, scope, expected) in [
            ("vault", "tokens:write", true),
            ("vault", "tokens:read", true),
            ("tessera", "tokens:write", false),
            ("tessera", "tokens:read", false),
            ("vault", "x", true),
            ("default", "x", false),
            ("tessera", "verify", true),
            ("vault", "verify", false),
            ("default", "a:b", true),
            ("tessera", "a:b", true),
        ] {
            assert_eq!(
                rights.covers(&slug(audience), &scope.parse().unwrap()),
                expected,
                "{audience}/{scope}"
            );
        }
    }

    #[test]
    fn is_within_means_a_subset_for_any_catalogue() {
        for (small, large) in [
            (patterns(&["rivers:read"]), patterns(&["rivers:*"])),
            (patterns(&["rivers:*"]), patterns(&["*"])),
            (patterns(&[]), Grants::Reading),
            (Grants::Reading, Grants::All),
            (Grants::Verifying, patterns(&["verify"])),
            (patterns(&["tessera/verify"]), patterns(&["verify"])),
            (Grants::Verifying, patterns(&["tessera/*"])),
            (patterns(&["vault/a:*"]), patterns(&["a:*"])),
            (patterns(&["vault/a:b"]), patterns(&["vault/*"])),
            (patterns(&["vault/*"]), patterns(&["*"])),
            (Grants::Verifying, Grants::Reading),
        ] {
            assert!(small.is_within(&large), "{small:?} in {large:?}");
            assert!(!large.is_within(&small), "{large:?} not in {small:?}");
        }
        assert!(
            patterns(&["*"]).is_within(&Grants::All) && Grants::All.is_within(&patterns(&["*"]))
        );
        assert!(!patterns(&["rivers:read"]).is_within(&Grants::Reading), "its risk is not known");
        assert!(Grants::Verifying.is_within(&patterns(&["tessera/verify"])));
        assert!(!Grants::Verifying.is_within(&patterns(&["vault/verify"])));
        assert!(!patterns(&["vault/a"]).is_within(&patterns(&["tessera/a"])));
    }

    fn any_grants() -> impl Strategy<Value = Grants> {
        const NAMES: &[&str] = &[
            "*",
            "rivers:*",
            "rivers:read",
            "default/rivers:write",
            "vault/*",
            "default/teams:*",
            "tessera/verify",
        ];
        prop_oneof![
            Just(Grants::All),
            Just(Grants::Reading),
            Just(Grants::Verifying),
            prop::collection::vec(prop::sample::select(NAMES), 0..4)
                .prop_map(|names| patterns(&names)),
        ]
    }

    /// Each of these scopes is compared with each pattern, and most of a pattern has
    /// to be examined.
    #[test]
    fn cutting_stays_within_its_steps_and_drops_uncompared_scopes() {
        let hard: Vec<String> = (0..GRANTS_MAX)
            .map(|number| format!("default/table://*{}x{number}*", "a".repeat(200)))
            .chain(["default/table://~**".to_owned()])
            .collect();
        let texts: Vec<&str> = hard.iter().map(String::as_str).collect();
        let rights = patterns(&texts).rights(&[]);
        let scopes = |count: usize| -> Vec<ScopeName> {
            let name = |number| format!("table://~{}{number}", "a".repeat(400));
            (0..count).map(|number| name(number).parse().unwrap()).collect()
        };
        let mut steps = Steps::new(100_000);
        let left = rights.cut_within(&slug("default"), scopes(1_000), &mut steps);
        assert!(left.len() < 1_000 && steps.left() == 0, "{}", left.len());
        let mut steps = Steps::new(10_000_000);
        let left = rights.cut_within(&slug("default"), scopes(2), &mut steps);
        assert!(left.len() == 2 && steps.left() > 0);
        assert_eq!(rights.cut(&slug("default"), scopes(2)), left);
    }

    proptest! {
        #[test]
        fn parsing_any_pattern_never_panics_and_is_stable(text in any::<String>()) {
            if let Ok(pattern) = text.parse::<GrantPattern>() {
                prop_assert_eq!(pattern.as_ref().parse::<GrantPattern>().unwrap(), pattern.clone());
            }
        }

        #[test]
        fn cutting_never_adds_scopes_and_narrower_grants_leave_fewer(one in any_grants(), other in any_grants()) {
            let all: Vec<ScopeName> = known().into_iter().map(|scope| scope.name).collect();
            let left = |grants: &Grants| {
                let rights = grants.rights(&known());
                ["default", "tessera"].map(|audience| rights.cut(&slug(audience), all.clone())).concat()
            };
            let (left, others) = (left(&one), left(&other));
            prop_assert!(left.iter().all(|scope| all.contains(scope)));
            if one.is_within(&other) {
                prop_assert!(left.iter().all(|scope| others.contains(scope)), "{one:?} {other:?}");
            }
        }
    }
}
