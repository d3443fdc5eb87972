//! The answer to "may this token do this?": pure checks in a fixed order.

use std::{
    any::Any,
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    catalogue::ScopeName,
    ids::{SecretId, TokenId, UserId, WorkspaceId},
    names::{AudienceSlug, Slug},
    rate_limit::RateLimit,
    scope_pattern::Steps,
    token::UserSummary,
};

/// Most scopes that one question may name.
pub const DEMANDED_MAX: usize = 64;

/// Most steps that a decision may take to compare scopes: less than a millisecond. What is not found to be
/// granted by then is refused.
pub const STEPS_MAX: u32 = 100_000;

/// The bytes of an answer about a token beside the texts that it names, at most.
const ANSWER_FRAME: usize = 512;

/// With more names than these it pays to look for one by halves.
const FEW: usize = 16;

/// A decision's stable code. Only `VALID` lets a call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecisionCode {
    /// The token may do this.
    Valid,
    /// No such token.
    NotFound,
    /// The text is no token: wrong form or wrong checksum.
    Malformed,
    /// The token is switched off.
    Disabled,
    /// The token, or this secret of it, is past its end.
    Expired,
    /// The token was deleted.
    Revoked,
    /// The token has not begun.
    NotYetValid,
    /// The token is not meant for this audience.
    AudienceMismatch,
    /// The token lacks a scope that was asked for.
    InsufficientScope,
    /// The token may not be used from this address.
    IpDenied,
    /// The user that the token acts as is disabled or has left the workspace.
    OwnerDisabled,
    /// The token may do this, but has been used as often as it may be for now. Not decided by
    /// [`Facts::decide`], which counts nothing: who counts asks last.
    RateLimited,
}

impl DecisionCode {
    /// Every code, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Valid,
        Self::NotFound,
        Self::Malformed,
        Self::Disabled,
        Self::Expired,
        Self::Revoked,
        Self::NotYetValid,
        Self::AudienceMismatch,
        Self::InsufficientScope,
        Self::IpDenied,
        Self::OwnerDisabled,
        Self::RateLimited,
    ];

    /// The code as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::NotFound => "NOT_FOUND",
            Self::Malformed => "MALFORMED",
            Self::Disabled => "DISABLED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::AudienceMismatch => "AUDIENCE_MISMATCH",
            Self::InsufficientScope => "INSUFFICIENT_SCOPE",
            Self::IpDenied => "IP_DENIED",
            Self::OwnerDisabled => "OWNER_DISABLED",
            Self::RateLimited => "RATE_LIMITED",
        }
    }

    /// Whether the caller is known and only lacks a right (403), rather than not known (401).
    pub const fn is_forbidden(self) -> bool {
        matches!(self, Self::InsufficientScope | Self::IpDenied)
    }
}

/// What a caller wants to do. An absent audience, workspace or address and an empty list of scopes
/// are not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The API that is called.
    pub audience: Option<AudienceSlug>,
    /// The only workspace whose tokens are welcome.
    pub workspace: Option<Slug>,
    /// Every scope that the call needs.
    pub scopes: Vec<ScopeName>,
    /// The caller's address.
    pub ip: Option<IpAddr>,
}

/// The facts about one of a token's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts, each of which may hold without the others"
)]
pub struct SecretFacts {
    /// Its id.
    pub id: SecretId,
    /// Whether it is the token's current one; an older one was replaced by a rotation.
    pub current: bool,
    /// Whether its first use decides over older ones of the token: it is written before it is answered.
    pub awaited: bool,
    /// Whether it was presented after its end before.
    pub reused: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Its own end, when a newer one replaces it.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether that was over when its token was last changed.
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

/// Whose tokens a token may be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verifies {
    /// Nobody's.
    Nobody,
    /// Those of its own workspace.
    Workspace,
    /// Everybody's: it acts as an administrator of the instance.
    Instance,
}

/// What a token's workspace, its user and the catalogues say of it: the same for all tokens that have these
/// and their scopes in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its workspace's slug.
    pub workspace: Slug,
    /// The user that it acts as.
    pub user: UserSummary,
    /// Whether that user is enabled and still belongs to the workspace.
    pub user_active: bool,
    /// Its rights in each API that it is meant for.
    pub rights: Arc<[AudienceRights]>,
    /// Whose tokens it may be asked about.
    pub verifies: Verifies,
    /// What a door made of all this.
    pub rendered: Rendered,
    /// The memory that all this takes, where that is counted.
    pub counted: Counted,
    /// Whether it still holds.
    pub validity: Validity,
}

/// The scopes that a token holds in one audience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AudienceRights {
    /// The audience.
    pub audience: AudienceSlug,
    /// The scopes as they were given to the token.
    pub scopes: Arc<[ScopeName]>,
    /// The scopes and all that they imply, as far as the audience's catalogue knows them now: exact names
    /// and URI patterns. Where they are sorted, names are found faster.
    pub granted: Arc<[ScopeName]>,
}

impl AudienceRights {
    /// Returns whether this scope is granted: an exact name by itself, a URI or a pattern by one pattern
    /// that covers all of it.
    pub fn grants(&self, scope: &ScopeName) -> bool {
        self.grants_within(scope, &mut Steps::new(STEPS_MAX))
    }

    /// The same as [`Self::grants`] for many scopes that share their steps; `false` also when these do not
    /// suffice.
    pub fn grants_within(&self, scope: &ScopeName, steps: &mut Steps) -> bool {
        // A search takes about as long as a step.
        steps.take(1) && self.granted.binary_search(scope).is_ok()
            || self.granted.iter().any(|granted| granted.covers_within(scope, steps))
    }

    /// Returns whether a scope of this name is granted. `false` proves nothing where they are not sorted.
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

    /// Returns what the token may do in this audience; `None` when it is not meant for it.
    pub fn rights_in(&self, audience: &str) -> Option<&AudienceRights> {
        self.rights.iter().find(|rights| rights.audience.as_ref() == audience)
    }

    /// Returns the scopes that are granted in this audience; none when the token is not meant for it.
    pub fn granted_in(&self, audience: &str) -> &[ScopeName] {
        self.rights_in(audience).map_or(&[], |rights| &rights.granted)
    }

    /// Returns a bound for the bytes of an answer that names all that is granted, in each audience and once
    /// more flat.
    pub fn answer_max(&self) -> usize {
        let quoted = |text: &str| text.len() + r#""","#.len();
        let granted = |rights: &AudienceRights| {
            let scopes = rights.granted.iter().map(|scope| quoted(scope.as_ref()));
            quoted(rights.audience.as_ref()) + "[]:".len() + scopes.sum::<usize>()
        };
        // In a name, quotation marks and backslashes take two bytes.
        let texts =
            self.workspace.as_ref().len() + self.user.email.len() * 2 + self.user.name.len() * 2;
        ANSWER_FRAME + texts + 2 * self.rights.iter().map(granted).sum::<usize>()
    }

    /// Returns the names of all scopes that are granted in any audience, each once.
    pub fn all_granted(&self) -> BTreeSet<&ScopeName> {
        self.rights.iter().flat_map(|rights| rights.granted.iter()).collect()
    }
}

/// Bytes to answer with that were made of something once, kept beside it and no part of what it says.
#[derive(Debug, Default)]
pub struct Rendered(OnceLock<Box<[u8]>>);

impl Rendered {
    /// The bytes; `render` makes them when there are none.
    pub fn get_or(&self, render: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.0.get_or_init(|| render().into())
    }
}

impl Clone for Rendered {
    /// Nothing: a copy may be about to be changed.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Rendered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Rendered {}

/// Bytes that count in a sum until this is dropped; no part of what the thing says that holds it.
#[derive(Debug, Default)]
pub struct Counted(Option<(Arc<AtomicUsize>, usize)>);

impl Counted {
    /// Adds bytes to a sum.
    pub fn new(sum: &Arc<AtomicUsize>, bytes: usize) -> Self {
        sum.fetch_add(bytes, Ordering::Relaxed);
        Self(Some((Arc::clone(sum), bytes)))
    }

    /// Returns how many bytes count; 0 where they are not counted.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, bytes)| *bytes)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some((sum, bytes)) = &self.0 {
            sum.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

impl Clone for Counted {
    /// Nothing: whoever keeps a copy counts it.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Counted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Counted {}

/// Whether surroundings still hold, for all who refer to them, and what is dropped together with them; no part of what
/// they say.
#[derive(Debug, Default)]
pub struct Validity {
    ended: AtomicBool,
    attached: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Validity {
    /// Returns whether a change has ended it.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends it, for good.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Attaches what is dropped together with it, unless something is attached already.
    pub fn attach<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) {
        self.attached.get_or_init(|| Box::new(make()));
    }
}

impl Clone for Validity {
    /// A validity of its own: nothing that ends this one ends the copy.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Validity {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Validity {}

/// All facts about a token that a decision needs. This, not the decision, is what a cache may keep:
/// it holds for every demand and every moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The token.
    pub token_id: TokenId,
    /// The token's name.
    pub name: String,
    /// What the rest of the database says of it.
    pub surroundings: Arc<Surroundings>,
    /// The switch.
    pub enabled: bool,
    /// Whether the token was deleted.
    pub deleted: bool,
    /// Its beginning.
    pub not_before: Option<OffsetDateTime>,
    /// The token's end.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether that was over when the token was last changed. Whoever ends something now writes their own
    /// clock's time: to a server whose clock is behind, it would not have ended yet.
    pub ended: bool,
    /// The secret that was presented.
    pub secret: SecretFacts,
    /// Where it may be used from; empty is anywhere.
    pub ip_allow: Vec<IpNet>,
    /// How often it may be used; at any rate when there is none.
    pub rate_limit: Option<RateLimit>,
}

impl Facts {
    /// The user's id.
    pub fn user_id(&self) -> UserId {
        self.surroundings.user.id
    }

    /// Returns whether this scope is granted in this audience or, when none is named, in any.
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

    /// Returns whether these scopes are granted in this audience, or in any when none is named, each by its
    /// own name. No name that was granted differs from the text that it is parsed from, so the texts need
    /// not be parsed. `false` proves nothing: another name may cover a scope.
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

    /// Decides. The order is part of the API: the first check that fails names the code.
    pub fn decide(&self, demand: &Demand, now: OffsetDateTime) -> DecisionCode {
        self.decide_within(demand, now, &mut Steps::new(STEPS_MAX))
    }

    /// The same as [`Self::decide`], with these steps to compare scopes. Those that are left say how long it took.
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

    /// Whether the token, or the secret of it that was presented, is gone for good: deleted or past its
    /// end.
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.deleted || self.is_over(now) || self.secret.is_over(now)
    }

    /// Whether a replaced secret was presented after its end while the token itself lives: its
    /// holder missed the rotation, or is somebody else.
    pub fn is_reuse(&self, now: OffsetDateTime) -> bool {
        !self.secret.current && self.secret.is_over(now) && !self.deleted && !self.is_over(now)
    }

    fn is_over(&self, now: OffsetDateTime) -> bool {
        self.ended || has_come(self.expires_at, now)
    }

    /// An unknown address is refused when the token is bound to some: absence never means "all".
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
    fn all_has_every_code_at_its_place() {
        for (place, code) in DecisionCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place, "{code:?}");
        }
        // Of a code that is added, the compiler says so here: it belongs into `ALL`, too.
        match DecisionCode::Valid {
            DecisionCode::Valid
            | DecisionCode::NotFound
            | DecisionCode::Malformed
            | DecisionCode::Disabled
            | DecisionCode::Expired
            | DecisionCode::Revoked
            | DecisionCode::NotYetValid
            | DecisionCode::AudienceMismatch
            | DecisionCode::InsufficientScope
            | DecisionCode::IpDenied
            | DecisionCode::OwnerDisabled
            | DecisionCode::RateLimited => {}
        }
    }

    #[test]
    fn granted_scope_of_the_audience_is_valid() {
        assert_eq!(facts().decide(&demand("default", "rivers:read"), NOW), DecisionCode::Valid);
    }

    #[test]
    fn pattern_is_granted_only_when_all_of_it_is_held() {
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
            // As a text it is one that the held pattern stands for; as a pattern it is wider.
            ("level://**", DecisionCode::InsufficientScope),
            ("level://my.app.test", DecisionCode::InsufficientScope),
            ("my.app.test", DecisionCode::InsufficientScope),
        ] {
            assert_eq!(facts.decide(&demand("default", scope), NOW), expected, "{scope}");
        }
    }

    #[test]
    fn missing_scope_is_insufficient_and_other_audience_mismatches() {
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
    fn scope_of_one_audience_says_nothing_in_another() {
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
        // Everything wrong at once; mending one thing after another walks down the order.
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
    fn ended_secret_of_a_token_that_ended_too_is_no_reuse() {
        let older = Facts { secret: OLDER, ..facts() };
        assert!(!Facts { expires_at: Some(NOW), ..older.clone() }.is_reuse(NOW));
        assert!(!Facts { deleted: true, ..older.clone() }.is_reuse(NOW));
        assert!(Facts { enabled: false, ..older }.is_reuse(NOW));
        assert!(!Facts { expires_at: Some(NOW), ..facts() }.is_reuse(NOW));
    }

    #[test]
    fn what_had_ended_when_it_was_changed_has_ended_for_every_clock() {
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

    /// A token with as many scopes as it may hold has all of them, however many are asked for at once.
    #[test]
    fn every_scope_of_the_widest_token_is_found() {
        use crate::held::HELD_MAX;
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

    /// Each of these scopes is granted by the last of many patterns, which all have to be walked through.
    #[test]
    fn question_that_takes_too_many_steps_is_refused() {
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
        /// A scope held by name is decided alike, whatever else was granted.
        #[test]
        fn what_is_had_by_name_is_valid(
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
