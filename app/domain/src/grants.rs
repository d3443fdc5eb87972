//! Grants: which scopes a member of a workspace may put on tokens, and what a token keeps of its
//! scopes while it acts as that member.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Catalogue, Risk, ScopeName},
    names::NameError,
    parsed::parsed_string,
    roles::{InstanceRole, WorkspaceRole},
};

/// Most patterns of a membership.
pub const GRANTS_MAX: usize = 64;

/// A pattern of scopes: `*` for all, `rivers:*` for all that begin so, or one scope's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantPattern(String);
parsed_string!(GrantPattern, NameError, parse_pattern);

impl GrantPattern {
    /// Whether the pattern means this scope.
    pub fn covers(&self, scope: &ScopeName) -> bool {
        match self.beginning() {
            Some(beginning) => scope.as_ref().starts_with(beginning),
            None => self.scope().is_some_and(|own| holds(&own, scope)),
        }
    }

    /// Whether everything that the other pattern means is meant by this one, too.
    fn covers_pattern(&self, other: &Self) -> bool {
        match (self.beginning(), other.beginning(), other.scope()) {
            (Some(beginning), Some(others), _) => others.starts_with(beginning),
            (_, None, Some(scope)) => self.covers(&scope),
            _ => false,
        }
    }

    /// What the scopes that it means begin with; `None` for the name of one scope. The stars of a
    /// URI are its own.
    fn beginning(&self) -> Option<&str> {
        if self.0 == "*" {
            return Some("");
        }
        self.0.strip_suffix('*').filter(|rest| rest.ends_with(':') && !rest.contains("://"))
    }

    fn scope(&self) -> Option<ScopeName> {
        self.0.parse().ok()
    }
}

/// Whether who holds one scope holds the other with it. The one place here that says so.
fn holds(held: &ScopeName, scope: &ScopeName) -> bool {
    held.covers(scope)
}

fn parse_pattern(text: &str) -> Result<String, NameError> {
    const FORM: NameError =
        NameError::Form("must be *, a beginning such as rivers:*, or a scope such as rivers:read");
    if text == "*" {
        return Ok(text.to_owned());
    }
    let name = text.strip_suffix(":*").filter(|name| !name.contains("://")).unwrap_or(text);
    name.parse::<ScopeName>().map_err(|_| FORM)?;
    Ok(text.to_owned())
}

/// What a member may put on tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grants {
    /// Every scope.
    All,
    /// Scopes of the risk `read`.
    Reading,
    /// The scope `verify` alone.
    Verifying,
    /// What these patterns mean; nothing when there are none.
    Patterns(Vec<GrantPattern>),
}

/// A scope as its catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownScope {
    /// Its name.
    pub name: ScopeName,
    /// How much harm it can do.
    pub risk: Risk,
    /// Everything that it implies, directly or through others.
    pub implies: Vec<ScopeName>,
}

/// The scopes that somebody holds, of the catalogues that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Every one.
    All,
    /// These, with all that they imply.
    Of(BTreeSet<ScopeName>),
}

impl Grants {
    /// What a user with these roles may put on tokens of the workspace. Patterns, where there are
    /// some, stand in place of what the role gives; administrators of the instance are not bound.
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

    /// Exactly these scopes: what a token may hand on.
    pub fn exactly<'a>(scopes: impl IntoIterator<Item = &'a ScopeName>) -> Self {
        Self::Patterns(scopes.into_iter().map(|scope| GrantPattern(scope.to_string())).collect())
    }

    /// Whether nothing needs to be looked up to know that everything is granted.
    pub fn is_all(&self) -> bool {
        match self {
            Self::All => true,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.0 == "*"),
            Self::Reading | Self::Verifying => false,
        }
    }

    /// Whether these grants give no more than the others do, whatever scopes there are.
    pub fn is_within(&self, other: &Self) -> bool {
        if other.is_all() || self == other {
            return true;
        }
        match (self, other) {
            (Self::Patterns(own), Self::Patterns(others)) => {
                own.iter().all(|pattern| others.iter().any(|other| other.covers_pattern(pattern)))
            }
            // The catalogue of Tessera describes it as reading.
            (Self::Verifying, Self::Reading) => true,
            (Self::Verifying, Self::Patterns(others)) => {
                others.iter().any(|pattern| pattern.0 == VERIFY)
            }
            (Self::Patterns(own), _) => own.is_empty(),
            _ => false,
        }
    }

    /// The rights that these grants give, among the scopes of these catalogues.
    pub fn rights<'a>(&self, known: impl IntoIterator<Item = &'a KnownScope>) -> Rights {
        if self.is_all() {
            return Rights::All;
        }
        let mut rights = BTreeSet::new();
        if let Self::Patterns(patterns) = self {
            // The name of a scope grants it; what it implies, its catalogue says.
            rights.extend(
                patterns
                    .iter()
                    .filter(|pattern| pattern.beginning().is_none())
                    .filter_map(GrantPattern::scope),
            );
        }
        for scope in known {
            let granted = match self {
                Self::All => true,
                Self::Reading => scope.risk == Risk::Read,
                Self::Verifying => scope.name.as_ref() == VERIFY,
                Self::Patterns(patterns) => {
                    patterns.iter().any(|pattern| pattern.covers(&scope.name))
                }
            };
            if granted {
                rights.insert(scope.name.clone());
                // Who may grant a scope may grant what comes along with it. Reading ends where
                // another risk begins.
                if matches!(self, Self::Patterns(_)) {
                    rights.extend(scope.implies.iter().cloned());
                }
            }
        }
        Rights::Of(rights)
    }
}

const VERIFY: &str = "verify";

impl Rights {
    /// Whether this scope is among them.
    pub fn covers(&self, scope: &ScopeName) -> bool {
        match self {
            Self::All => true,
            Self::Of(scopes) => scopes.iter().any(|held| holds(held, scope)),
        }
    }

    /// What is left of a token's scopes while it acts as somebody with these rights: `granted` are
    /// its scopes with all that they imply.
    #[must_use]
    pub fn cut(&self, mut granted: Vec<ScopeName>) -> Vec<ScopeName> {
        granted.retain(|scope| self.covers(scope));
        granted
    }
}

/// The scopes of a catalogue with all that each implies.
pub fn known_scopes(catalogue: &Catalogue) -> Vec<KnownScope> {
    catalogue
        .scopes()
        .map(|scope| KnownScope {
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

    fn left(grants: &Grants, scopes: &[&str]) -> Vec<String> {
        let granted = scopes.iter().map(|name| name.parse().unwrap()).collect();
        grants.rights(&known()).cut(granted).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_are_a_star_a_beginning_or_a_name() {
        for good in ["*", "rivers:*", "a:b:*", "rivers:read"] {
            assert!(good.parse::<GrantPattern>().is_ok(), "{good}");
        }
        for bad in ["", "rivers*", "**", "*:read", ":*", "a b", "rivers:**", "A"] {
            assert!(bad.parse::<GrantPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn role_gives_grants_where_no_patterns_are_set() {
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
    fn token_keeps_what_its_user_may_grant() {
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
    fn within_is_a_smaller_set_whatever_scopes_there_are() {
        for (small, large) in [
            (patterns(&["rivers:read"]), patterns(&["rivers:*"])),
            (patterns(&["rivers:*"]), patterns(&["*"])),
            (patterns(&[]), Grants::Reading),
            (Grants::Reading, Grants::All),
            (Grants::Verifying, patterns(&["verify"])),
            (Grants::Verifying, Grants::Reading),
        ] {
            assert!(small.is_within(&large), "{small:?} in {large:?}");
            assert!(!large.is_within(&small), "{large:?} not in {small:?}");
        }
        assert!(
            patterns(&["*"]).is_within(&Grants::All) && Grants::All.is_within(&patterns(&["*"]))
        );
        assert!(!patterns(&["rivers:read"]).is_within(&Grants::Reading), "its risk is not known");
    }

    fn any_grants() -> impl Strategy<Value = Grants> {
        const NAMES: &[&str] =
            &["*", "rivers:*", "rivers:read", "rivers:write", "teams:*", "verify"];
        prop_oneof![
            Just(Grants::All),
            Just(Grants::Reading),
            Just(Grants::Verifying),
            prop::collection::vec(prop::sample::select(NAMES), 0..4)
                .prop_map(|names| patterns(&names)),
        ]
    }

    proptest! {
        #[test]
        fn parsing_any_pattern_never_panics_and_is_stable(text in any::<String>()) {
            if let Ok(pattern) = text.parse::<GrantPattern>() {
                prop_assert_eq!(pattern.as_ref().parse::<GrantPattern>().unwrap(), pattern.clone());
            }
        }

        #[test]
        fn cutting_never_adds_and_narrower_grants_leave_less(one in any_grants(), other in any_grants()) {
            let all: Vec<ScopeName> = known().into_iter().map(|scope| scope.name).collect();
            let (left, others) =
                (one.rights(&known()).cut(all.clone()), other.rights(&known()).cut(all.clone()));
            prop_assert!(left.iter().all(|scope| all.contains(scope)));
            if one.is_within(&other) {
                prop_assert!(left.iter().all(|scope| others.contains(scope)), "{one:?} {other:?}");
            }
        }
    }
}
