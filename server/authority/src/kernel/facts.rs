//! All facts about a token that a decision needs, and the decision: pure checks in a fixed order.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use domain::{
    catalogue::ScopeName,
    decision::{DecisionCode, Demand},
    ids::{SecretId, TokenId, UserId, WorkspaceId},
    names::{AudienceSlug, Slug},
    rate_limit::RateLimit,
    scope_pattern::Steps,
    token::UserSummary,
};
use ipnet::IpNet;
use time::OffsetDateTime;

use super::attached::{Counted, Rendered, Validity};

/// The maximum number of steps that a decision may take to compare scopes: less than a millisecond.
/// Scopes that are not found to be granted by then are refused.
pub const STEPS_MAX: u32 = 100_000;

/// The maximum size in bytes of a response about a token, without the texts that it contains.
const ANSWER_FRAME: usize = 512;

/// The maximum number of names that are searched one by one; longer lists are searched by
/// binary search.
const FEW: usize = 16;

/// The facts about one of a token's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts, each of which may hold without the others"
)]
pub struct SecretFacts {
    /// The secret's id.
    pub id: SecretId,
    /// Whether it is the token's current secret; an older one was replaced by a rotation.
    pub current: bool,
    /// Whether its first use after a rotation is still to come. That use can expire older secrets
    /// of the token, so it is recorded before the response is sent.
    pub awaited: bool,
    /// Whether it was already presented once after its expiry.
    pub reused: bool,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// Its own expiry, if a newer secret replaces it.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether that expiry had passed when the token was last changed.
    pub ended: bool,
}

impl SecretFacts {
    fn is_over(&self, now: OffsetDateTime) -> bool {
        self.ended || has_come(self.expires_at, now)
    }
}

fn has_come(end: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    end.is_some_and(|end| end <= now)
}

/// The tokens that a token may verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verifies {
    /// None.
    Nobody,
    /// The tokens of its own workspace.
    Workspace,
    /// All tokens: it acts as an administrator of the instance.
    Instance,
}

/// The facts that a token gets from its workspace, its owner and the catalogues. Tokens that have
/// these and their scopes in common share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The token's workspace.
    pub workspace_id: WorkspaceId,
    /// The slug of that workspace.
    pub workspace: Slug,
    /// The owner that the token acts as.
    pub user: UserSummary,
    /// Whether the owner is enabled and still belongs to the workspace.
    pub user_active: bool,
    /// The token's rights in each API that it is meant for.
    pub rights: Arc<[AudienceRights]>,
    /// The tokens that the token may verify.
    pub verifies: Verifies,
    /// The bytes that a surface rendered from these facts.
    pub rendered: Rendered,
    /// The memory that these facts take, if it is counted.
    pub counted: Counted,
    /// Whether these facts still hold.
    pub validity: Validity,
}

/// The scopes that a token holds in one audience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AudienceRights {
    /// The audience.
    pub audience: AudienceSlug,
    /// The scopes as they were given to the token.
    pub scopes: Arc<[ScopeName]>,
    /// The scopes and everything they imply, as far as the audience's catalogue currently has them:
    /// exact names and URI patterns. Names are found faster if the list is sorted.
    pub granted: Arc<[ScopeName]>,
}

impl AudienceRights {
    /// Returns whether this scope is granted. An exact name must be granted by name; one granted
    /// pattern must cover all of a URI or pattern.
    pub fn grants(&self, scope: &ScopeName) -> bool {
        self.grants_within(scope, &mut Steps::new(STEPS_MAX))
    }

    /// Like [`Self::grants`], for many scopes that share `steps`. Also returns `false` if the steps
    /// run out.
    pub fn grants_within(&self, scope: &ScopeName, steps: &mut Steps) -> bool {
        // A search takes about as long as a step.
        steps.take(1) && self.granted.binary_search(scope).is_ok()
            || self.granted.iter().any(|granted| granted.covers_within(scope, steps))
    }

    /// Returns whether a scope of this name is granted. If the list is not sorted,
    /// `false` proves nothing.
    fn has(&self, name: &str) -> bool {
        if self.granted.len() <= FEW {
            self.granted.iter().any(|known| known.as_ref() == name)
        } else {
            self.granted.binary_search_by(|known| known.as_ref().cmp(name)).is_ok()
        }
    }
}

impl Surroundings {
    /// Returns the audiences that the token is meant for.
    pub fn audiences(&self) -> impl Iterator<Item = &AudienceSlug> {
        self.rights.iter().map(|rights| &rights.audience)
    }

    /// Returns the token's rights in this audience, or `None` if the token is not meant for it.
    pub fn rights_in(&self, audience: &str) -> Option<&AudienceRights> {
        self.rights.iter().find(|rights| rights.audience.as_ref() == audience)
    }

    /// Returns the scopes granted in this audience; none if the token is not meant for it.
    pub fn granted_in(&self, audience: &str) -> &[ScopeName] {
        self.rights_in(audience).map_or(&[], |rights| &rights.granted)
    }

    /// Returns an upper bound, in bytes, for a response that lists everything that is granted: once
    /// by audience and once as a flat list.
    pub fn answer_max(&self) -> usize {
        let quoted = |text: &str| text.len() + r#""","#.len();
        let granted = |rights: &AudienceRights| {
            let scopes = rights.granted.iter().map(|scope| quoted(scope.as_ref()));
            quoted(rights.audience.as_ref()) + "[]:".len() + scopes.sum::<usize>()
        };
        // Quotation marks and backslashes in a name take two bytes.
        let texts =
            self.workspace.as_ref().len() + self.user.email.len() * 2 + self.user.name.len() * 2;
        ANSWER_FRAME + texts + 2 * self.rights.iter().map(granted).sum::<usize>()
    }

    /// Returns the names of all scopes that are granted in any audience, each once.
    pub fn all_granted(&self) -> BTreeSet<&ScopeName> {
        self.rights.iter().flat_map(|rights| rights.granted.iter()).collect()
    }
}

/// All facts about a token that a decision needs. A cache may keep these but not the decision,
/// because they hold for every demand and every moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The token's id.
    pub token_id: TokenId,
    /// The token's name.
    pub name: String,
    /// The facts from the rest of the database.
    pub surroundings: Arc<Surroundings>,
    /// Whether the token is enabled.
    pub enabled: bool,
    /// Whether the token was deleted.
    pub deleted: bool,
    /// When the token becomes valid.
    pub not_before: Option<OffsetDateTime>,
    /// When the token expires.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether the expiry had passed when the token was last changed. A server that expires a token
    /// now writes the time of its own clock; for a server whose clock is behind, that time would
    /// still be in the future.
    pub ended: bool,
    /// The secret that was presented.
    pub secret: SecretFacts,
    /// The addresses that the token may be used from; empty means any.
    pub ip_allow: Vec<IpNet>,
    /// How often the token may be used; `None` means no limit.
    pub rate_limit: Option<RateLimit>,
}

impl Facts {
    /// Returns the owner's id.
    pub fn user_id(&self) -> UserId {
        self.surroundings.user.id
    }

    /// Returns whether this scope is granted in this audience or, if none is named, in any.
    pub fn grants(&self, audience: Option<&AudienceSlug>, scope: &ScopeName) -> bool {
        self.grants_within(audience, scope, &mut Steps::new(STEPS_MAX))
    }

    fn grants_within(
        &self,
        audience: Option<&AudienceSlug>,
        scope: &ScopeName,
        steps: &mut Steps,
    ) -> bool {
        let rights = &self.surroundings.rights;
        rights
            .iter()
            .filter(|rights| audience.is_none_or(|asked| rights.audience == *asked))
            .any(|rights| rights.grants_within(scope, steps))
    }

    /// Returns whether these scopes are granted by their exact names in this audience or, if none
    /// is named, in any. The texts need not be parsed, because a text that equals a granted name
    /// also parses to that name. `false` proves nothing: a pattern may cover a scope.
    pub fn has_by_name(&self, audience: Option<&str>, scopes: &[&str]) -> bool {
        match audience {
            Some(audience) => {
                let rights = self.surroundings.rights_in(audience);
                rights.is_some_and(|rights| scopes.iter().all(|asked| rights.has(asked)))
            }
            None => scopes
                .iter()
                .all(|asked| self.surroundings.rights.iter().any(|rights| rights.has(asked))),
        }
    }

    /// Decides whether the token meets this demand. The order is part of the API: the first check
    /// that fails determines the code.
    pub fn decide(&self, demand: &Demand, now: OffsetDateTime) -> DecisionCode {
        self.decide_within(demand, now, &mut Steps::new(STEPS_MAX))
    }

    /// Like [`Self::decide`], with `steps` to compare scopes. The remaining steps show how much
    /// work it took.
    pub fn decide_within(
        &self,
        demand: &Demand,
        now: OffsetDateTime,
        steps: &mut Steps,
    ) -> DecisionCode {
        if demand
            .workspace
            .as_ref()
            .is_some_and(|workspace| *workspace != self.surroundings.workspace)
        {
            return DecisionCode::NotFound;
        }
        if self.deleted {
            return DecisionCode::Revoked;
        }
        if self.is_over(now) || self.secret.is_over(now) {
            return DecisionCode::Expired;
        }
        if !self.enabled {
            return DecisionCode::Disabled;
        }
        if self.not_before.is_some_and(|start| start > now) {
            return DecisionCode::NotYetValid;
        }
        if !self.surroundings.user_active {
            return DecisionCode::OwnerDisabled;
        }
        if !self.allows_address(demand.ip) {
            return DecisionCode::IpDenied;
        }
        let audience = demand.audience.as_ref();
        if audience.is_some_and(|audience| self.surroundings.rights_in(audience.as_ref()).is_none())
        {
            return DecisionCode::AudienceMismatch;
        }
        if demand.scopes.iter().any(|scope| !self.grants_within(audience, scope, steps)) {
            return DecisionCode::InsufficientScope;
        }
        DecisionCode::Valid
    }

    /// Returns whether the token or the presented secret has ended for good: deleted or expired.
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.deleted || self.is_over(now) || self.secret.is_over(now)
    }

    /// Returns whether a replaced secret was presented after its expiry while the token itself is
    /// still alive. Either the caller missed the rotation or the secret has leaked.
    pub fn is_reuse(&self, now: OffsetDateTime) -> bool {
        !self.secret.current && self.secret.is_over(now) && !self.deleted && !self.is_over(now)
    }

    fn is_over(&self, now: OffsetDateTime) -> bool {
        self.ended || has_come(self.expires_at, now)
    }

    /// Returns whether the token may be used from this address. An unknown address is refused if
    /// the token is restricted to some: absence never means "all".
    fn allows_address(&self, address: Option<IpAddr>) -> bool {
        if self.ip_allow.is_empty() {
            return true;
        }
        address.is_some_and(|address| {
            let address = address.to_canonical();
            self.ip_allow.iter().any(|range| range.contains(&address))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::subsequence};
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    use domain::decision::DEMANDED_MAX;

    use super::*;

    const NAMES: [&str; 7] =
        ["a", "a:b", "a:b:c", "table://x.**", "table://x.y", "TABLE://x.y", "table://x.***"];
    const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

    const CURRENT: SecretFacts = SecretFacts {
        id: SecretId(Uuid::nil()),
        current: true,
        awaited: false,
        reused: false,
        created_at: NOW,
        expires_at: None,
        ended: false,
    };
    const OLDER: SecretFacts = SecretFacts { current: false, expires_at: Some(NOW), ..CURRENT };

    fn facts() -> Facts {
        Facts {
            token_id: TokenId(Uuid::nil()),
            name: "ci".into(),
            surroundings: surroundings().into(),
            enabled: true,
            deleted: false,
            not_before: None,
            expires_at: None,
            ended: false,
            secret: CURRENT,
            ip_allow: vec![],
            rate_limit: None,
        }
    }

    fn surroundings() -> Surroundings {
        Surroundings {
            workspace_id: WorkspaceId(Uuid::nil()),
            workspace: "workspace-1".parse().unwrap(),
            user: UserSummary { id: UserId(Uuid::nil()), email: "a@x".into(), name: "A".into() },
            user_active: true,
            rights: [rights("default", &["rivers:write", "rivers:read"])].into(),
            verifies: Verifies::Nobody,
            rendered: Rendered::default(),
            counted: Counted::default(),
            validity: Validity::default(),
        }
    }

    fn rights(audience: &str, granted: &[&str]) -> AudienceRights {
        AudienceRights {
            audience: audience.parse().unwrap(),
            scopes: [].into(),
            granted: granted.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn demand(audience: &str, scope: &str) -> Demand {
        Demand {
            audience: Some(audience.parse().unwrap()),
            scopes: vec![scope.parse().unwrap()],
            ..Demand::default()
        }
    }

    #[test]
    fn granted_scope_of_the_audience_is_valid() {
        assert_eq!(facts().decide(&demand("default", "rivers:read"), NOW), DecisionCode::Valid);
    }

    #[test]
    fn pattern_is_granted_only_if_held_completely() {
        let rights = [rights("default", &["table://my.app.**", "level://*"])].into();
        let surroundings = Surroundings { rights, ..surroundings() }.into();
        let facts = Facts { surroundings, ..facts() };
        for (scope, expected) in [
            ("table://my.app.test", DecisionCode::Valid),
            ("table://my.app.*", DecisionCode::Valid),
            ("table://my.app.**", DecisionCode::Valid),
            ("table://my.*.test", DecisionCode::InsufficientScope),
            ("table://**", DecisionCode::InsufficientScope),
            ("level://admin", DecisionCode::Valid),
            // The granted pattern matches this as a text, but as a pattern this one is wider.
            ("level://**", DecisionCode::InsufficientScope),
            ("level://my.app.test", DecisionCode::InsufficientScope),
            ("my.app.test", DecisionCode::InsufficientScope),
        ] {
            assert_eq!(facts.decide(&demand("default", scope), NOW), expected, "{scope}");
        }
    }

    #[test]
    fn missing_scope_is_insufficient_scope_and_other_audience_is_a_mismatch() {
        assert_eq!(
            facts().decide(&demand("default", "teams:read"), NOW),
            DecisionCode::InsufficientScope
        );
        assert_eq!(
            facts().decide(&demand("other", "teams:read"), NOW),
            DecisionCode::AudienceMismatch
        );
    }

    #[test]
    fn scope_of_one_audience_has_no_effect_in_another() {
        let rights = [rights("tessera", &["verify"]), rights("vault", &["tokens:write"])].into();
        let surroundings = Surroundings { rights, ..surroundings() }.into();
        let facts = Facts { surroundings, ..facts() };
        for (audience, scope, expected) in [
            (Some("vault"), "tokens:write", DecisionCode::Valid),
            (Some("tessera"), "verify", DecisionCode::Valid),
            (Some("tessera"), "tokens:write", DecisionCode::InsufficientScope),
            (Some("vault"), "verify", DecisionCode::InsufficientScope),
            (Some("default"), "verify", DecisionCode::AudienceMismatch),
            (None, "verify", DecisionCode::Valid),
            (None, "tokens:write", DecisionCode::Valid),
        ] {
            let audience_slug = audience.map(|slug| slug.parse().unwrap());
            let demand = Demand { audience: audience_slug, ..demand("default", scope) };
            assert_eq!(facts.decide(&demand, NOW), expected, "{audience:?} {scope}");
            let by_name = facts.has_by_name(audience, &[scope]);
            assert_eq!(by_name, expected == DecisionCode::Valid, "{audience:?} {scope}");
        }
    }

    #[test]
    fn order_of_the_codes_is_fixed() {
        // Everything is wrong at first; fixing one thing after another walks down the order.
        let past = Some(NOW - Duration::days(1));
        let future = Some(NOW + Duration::days(1));
        let mut facts = Facts {
            deleted: true,
            expires_at: past,
            enabled: false,
            not_before: future,
            surroundings: Surroundings { user_active: false, ..surroundings() }.into(),
            ip_allow: vec!["10.0.0.0/8".parse().unwrap()],
            ..facts()
        };
        let mut demand =
            Demand { workspace: Some("other".parse().unwrap()), ..demand("other", "teams:read") };
        let mut codes = vec![facts.decide(&demand, NOW)];
        demand.workspace = None;
        codes.push(facts.decide(&demand, NOW));
        facts.deleted = false;
        codes.push(facts.decide(&demand, NOW));
        facts.expires_at = None;
        codes.push(facts.decide(&demand, NOW));
        facts.enabled = true;
        codes.push(facts.decide(&demand, NOW));
        facts.not_before = None;
        codes.push(facts.decide(&demand, NOW));
        facts.surroundings = surroundings().into();
        codes.push(facts.decide(&demand, NOW));
        demand.ip = Some("::ffff:10.1.2.3".parse().unwrap());
        codes.push(facts.decide(&demand, NOW));
        demand.audience = None;
        codes.push(facts.decide(&demand, NOW));
        demand.scopes.clear();
        codes.push(facts.decide(&demand, NOW));
        assert_eq!(
            codes,
            [
                DecisionCode::NotFound,
                DecisionCode::Revoked,
                DecisionCode::Expired,
                DecisionCode::Disabled,
                DecisionCode::NotYetValid,
                DecisionCode::OwnerDisabled,
                DecisionCode::IpDenied,
                DecisionCode::AudienceMismatch,
                DecisionCode::InsufficientScope,
                DecisionCode::Valid,
            ]
        );
    }

    #[test]
    fn secret_replaced_by_a_newer_one_expires_on_its_own() {
        let older = Facts { secret: OLDER, ..facts() };
        assert_eq!(older.decide(&Demand::default(), NOW), DecisionCode::Expired);
        assert!(older.is_reuse(NOW));
        let before = NOW - Duration::SECOND;
        assert_eq!(older.decide(&Demand::default(), before), DecisionCode::Valid);
        assert!(!older.is_reuse(before));
    }

    #[test]
    fn replaced_secret_of_an_expired_token_is_not_a_reuse() {
        let older = Facts { secret: OLDER, ..facts() };
        assert!(!Facts { expires_at: Some(NOW), ..older.clone() }.is_reuse(NOW));
        assert!(!Facts { deleted: true, ..older.clone() }.is_reuse(NOW));
        assert!(Facts { enabled: false, ..older }.is_reuse(NOW));
        assert!(!Facts { expires_at: Some(NOW), ..facts() }.is_reuse(NOW));
    }

    #[test]
    fn recorded_end_holds_even_if_the_clock_is_behind() {
        let before = NOW - Duration::SECOND;
        let older = Facts { secret: SecretFacts { ended: true, ..OLDER }, ..facts() };
        assert_eq!(older.decide(&Demand::default(), before), DecisionCode::Expired);
        assert!(older.has_ended(before) && older.is_reuse(before));
        let token = Facts { expires_at: Some(NOW), ended: true, ..older };
        assert_eq!(token.decide(&Demand::default(), before), DecisionCode::Expired);
        assert!(token.has_ended(before) && !token.is_reuse(before));
    }

    fn wide(granted: impl IntoIterator<Item = String>) -> Facts {
        let mut granted: Vec<ScopeName> =
            granted.into_iter().map(|name| name.parse().unwrap()).collect();
        granted.sort_unstable();
        let rights = AudienceRights { granted: granted.into(), ..rights("default", &[]) };
        let surroundings = Surroundings { rights: [rights].into(), ..surroundings() };
        Facts { surroundings: surroundings.into(), ..facts() }
    }

    /// A token with the maximum number of scopes is granted all of them, however many
    /// one demand names.
    #[test]
    fn every_scope_of_the_widest_token_is_found() {
        use domain::held::HELD_MAX;
        let names =
            |number: usize| [format!("rivers:r{number}"), format!("table://my.app{number}.**")];
        let facts = wide((0..HELD_MAX / 2).flat_map(names));
        let scopes = |from: usize, to: fn(usize) -> String| Demand {
            scopes: (from..from + DEMANDED_MAX).map(|number| to(number).parse().unwrap()).collect(),
            ..demand("default", "x")
        };
        for from in (0..HELD_MAX / 2 - DEMANDED_MAX).step_by(DEMANDED_MAX) {
            for to in [
                |number| format!("rivers:r{number}"),
                |number| format!("table://my.app{number}.**"),
                |number| format!("table://my.app{number}.test"),
            ] {
                let demand = scopes(from, to);
                assert_eq!(facts.decide(&demand, NOW), DecisionCode::Valid, "{demand:?}");
                let texts: Vec<&str> = demand.scopes.iter().map(AsRef::as_ref).collect();
                let by_name = !texts[0].contains(".test");
                assert_eq!(facts.has_by_name(Some("default"), &texts), by_name);
                assert_eq!(facts.has_by_name(None, &texts), by_name);
            }
        }
    }

    /// The last of many patterns grants each of these scopes, so all patterns have to be tried.
    #[test]
    fn demand_that_takes_too_many_steps_is_refused() {
        let beginning = |number: usize| format!("table://*{}x{number:04}*", "a".repeat(200));
        let facts = wide((0..1_000).map(beginning).chain(["table://~**".to_owned()]));
        let asking = |count: usize| Demand {
            scopes: (0..count)
                .map(|number| format!("table://~{}{number}", "a".repeat(400)).parse().unwrap())
                .collect(),
            ..demand("default", "x")
        };
        assert_eq!(facts.decide(&asking(DEMANDED_MAX), NOW), DecisionCode::InsufficientScope);
        let few = wide(["table://*aax*".to_owned(), "table://~**".to_owned()]);
        assert_eq!(few.decide(&asking(DEMANDED_MAX / 8), NOW), DecisionCode::Valid);
    }

    proptest! {
        /// A scope held by name is granted, whatever else is granted.
        #[test]
        fn scope_held_by_name_is_valid(
            granted in prop::collection::vec(subsequence(NAMES.to_vec(), 0..NAMES.len()), 2),
            audiences in subsequence(vec!["default", "other"], 0..=2),
            scopes in subsequence(NAMES.to_vec(), 0..3),
            audience in option::of(prop_oneof![Just("default"), Just("other"), Just("Default")]),
        ) {
            let rights = audiences.iter().zip(&granted).map(|(slug, granted)| rights(slug, granted));
            let surroundings = Surroundings { rights: rights.collect(), ..surroundings() };
            let facts = Facts { surroundings: surroundings.into(), ..facts() };
            if facts.has_by_name(audience, &scopes) {
                let demand = Demand {
                    audience: audience.map(|slug| slug.parse().unwrap()),
                    scopes: scopes.iter().map(|name| name.parse().unwrap()).collect(),
                    ..Demand::default()
                };
                prop_assert_eq!(facts.decide(&demand, NOW), DecisionCode::Valid);
            }
        }
    }
}
