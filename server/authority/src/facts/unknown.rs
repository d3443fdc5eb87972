//! Limits how many texts that are not tokens are looked up for one address.
//!
//! A secret that another system issued may have little entropy, so nobody may guess at the speed of
//! the database. Each text that is looked up counts against the address that presented it until it
//! is found. Texts that are in memory, known or unknown, are not counted here, nor are tokens that
//! are found, however many there are.
//!
//! A text counts against more than its address. The /48 network of an IPv6 address has a larger
//! budget of its own, because many customers get a whole /48. A verifier can name any address, so
//! the texts that it verifies count against the workspace of its token, too: more verifiers don't
//! get a larger budget. The rate of a workspace is [`VERIFIER`] times that of an address. A
//! verifier that names no address also has the budget of one address.
//!
//! For each of them one point in time is kept: when its budget will be whole again (the generic
//! cell rate algorithm, as in `rate`). Beyond the budget, a reserved share of lookups continues, so
//! that a valid token that is not in memory is still accepted. Texts with the form and checksum of
//! Tessera's own tokens, which cannot be guessed, have a separate share.
//!
//! Texts that may be sessions have separate budgets of the same size (`crate::sessions`).
//!
//! Memory is bounded: the number of budgets is fixed, and only whole budgets are dropped. When
//! there is no room, further addresses share one budget, so that a client cannot get a new budget
//! by crowding out its old one.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::kernel::Facts;
use domain::ids::WorkspaceId;
use uuid::Uuid;

use crate::{OpContext, ServiceError, kernel::Actor};

/// Number of shards. Concurrent lookups for different addresses contend only within a shard.
const SHARDS: usize = 64;
/// The maximum number of addresses in a shard.
const HELD_MAX: usize = 1_024;
/// Unknown texts that are allowed at once, in seconds of the rate.
const BURST_S: u32 = 10;
/// The same for a workspace's verifiers. Few of many callers present unknown texts at the same
/// moment.
const VERIFIER_BURST_S: u32 = 1;
/// Lookups that continue beyond the budget: the rate divided by this number, for each kind of text.
const SHARE: u32 = 10;
/// How often a full shard is searched for addresses to drop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The budget of a /48 network of IPv6, as a multiple of that of an address.
const SITE: u32 = 10;
/// The rate of a workspace's verifiers, as a multiple of that of an address.
const VERIFIER: u32 = 50;
/// The maximum number of budgets that a text counts against.
const COUNTED_MAX: usize = 3;

/// The budgets that a text counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presenter([Option<Counted>; COUNTED_MAX]);

/// The owner of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// An IPv4 address, or the /64 of an IPv6 address, as a number: the caller's own, or one that
    /// the verifiers of a workspace name. The two are separate, so that verifiers take nothing from
    /// callers at an address that they name.
    Address(Option<Uuid>, u128),
    /// The /48 of an IPv6 address, as a number.
    Site(Option<Uuid>, u128),
    /// All callers of a workspace who verify tokens, or a person who verifies tokens in a session.
    Verifiers(Uuid),
    /// A caller who verifies tokens and names no address; or all callers who import into a
    /// workspace.
    Itself(Uuid),
    /// An unknown address.
    Nobody,
}

impl Counted {
    /// Returns this budget as a multiple of that of an address.
    fn multiple(self) -> u32 {
        match self {
            Self::Address(..) | Self::Itself(_) | Self::Nobody => 1,
            Self::Site(..) => SITE,
            Self::Verifiers(_) => VERIFIER,
        }
    }

    /// Returns how many seconds of the rate may be taken at once.
    fn burst_s(self) -> u32 {
        match self {
            Self::Verifiers(_) => VERIFIER_BURST_S,
            Self::Address(..) | Self::Site(..) | Self::Itself(_) | Self::Nobody => BURST_S,
        }
    }
}

impl Presenter {
    /// The operator, who can read the database anyway.
    pub(crate) const OPERATOR: Self = Self([None; COUNTED_MAX]);

    /// Returns the presenter for a client at this address that presents its own token.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        Self::named_by(None, address)
    }

    /// Returns the presenter for a caller who verifies a token: the address that it names,
    /// otherwise the caller itself.
    pub(crate) fn asked_by(ctx: &OpContext, address: Option<IpAddr>) -> Self {
        match &ctx.actor {
            Actor::Operator => Self::OPERATOR,
            Actor::Token(facts) => Self::verified_by(facts, address),
            Actor::User(visitor) | Actor::Restricted(visitor) => {
                let id = visitor.user.id.0;
                Self::asked_of((id, id), address)
            }
            Actor::Anonymous => Self::at(address.or(ctx.client_ip)),
        }
    }

    /// Returns the presenter for an import: its caller, and all callers who import into the
    /// workspace, whatever tokens they use.
    pub(crate) fn importing(ctx: &OpContext, workspace: WorkspaceId) -> Self {
        let Self([all, itself, _]) = Self::asked_by(ctx, None);
        Self([all, itself, itself.map(|_| Counted::Itself(workspace.0))])
    }

    /// Returns the presenter for a verifier's token: the address that it names, otherwise the
    /// verifier itself.
    pub(crate) fn verified_by(verifier: &Facts, address: Option<IpAddr>) -> Self {
        let workspace = verifier.surroundings.workspace_id.0;
        Self::asked_of((workspace, verifier.token_id.0), address)
    }

    /// Returns whether verifiers present these texts.
    pub(crate) fn is_of_verifiers(&self) -> bool {
        let asks =
            |counted: &Counted| matches!(counted, Counted::Verifiers(_) | Counted::Itself(_));
        self.0.iter().flatten().any(asks)
    }

    fn asked_of((all, itself): (Uuid, Uuid), address: Option<IpAddr>) -> Self {
        match address {
            Some(_) => Self::named_by(Some(all), address),
            None => Self([Some(Counted::Verifiers(all)), Some(Counted::Itself(itself)), None]),
        }
    }

    /// Puts the widest budget first: if it refuses, no budget is kept for the others.
    fn named_by(by: Option<Uuid>, address: Option<IpAddr>) -> Self {
        let (site, address) = match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => {
                (None, Counted::Address(by, address.to_ipv6_mapped().to_bits()))
            }
            // A subscriber has a whole /64.
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                (Some(Counted::Site(by, bits >> 80 << 80)), Counted::Address(by, bits >> 64 << 64))
            }
            None => (None, Counted::Nobody),
        };
        Self([by.map(Counted::Verifiers), site, Some(address)])
    }
}

/// The parts that a lookup took from the budgets of its [`Presenter`], in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Taken([Part; COUNTED_MAX]);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// A part of the budget.
    Budget,
    /// A turn of the reserved share.
    Share { has_form: bool },
    /// Nothing, because there is no limit.
    #[default]
    Nothing,
}

/// The budgets that unknown texts counted against recently.
pub(crate) struct UnknownTokens {
    /// `None` for no limit.
    rate: Option<Rate>,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    refused: AtomicU64,
}

/// Times on the server's monotonic clock.
#[derive(Clone, Copy)]
struct Rate {
    /// The part of an address's budget that an unknown text takes.
    each: Duration,
    /// The budget for one second. The amount that may be taken at once is a multiple of it.
    second: Duration,
    /// The interval between two lookups of an address's reserved share.
    share: Duration,
}

#[derive(Default)]
struct Shard {
    held: HashMap<Counted, Budget>,
    /// The budget of the addresses that find no room.
    others: Budget,
    look_at: Duration,
}

#[derive(Clone, Copy, Default)]
struct Budget {
    whole_at: Duration,
    /// When the next lookup of the reserved share is allowed: for foreign texts, and for those with
    /// the form of a token.
    share_at: [Duration; 2],
}

impl UnknownTokens {
    /// Allows this many unknown texts a second for each address, and ten times as many at once; 0
    /// means no limit.
    pub(crate) fn new(per_second: u32) -> Self {
        let rate = (per_second > 0).then(|| {
            let each = Duration::from_secs(1) / per_second;
            Rate { each, second: each * per_second, share: each * SHARE }
        });
        Self {
            rate,
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            refused: AtomicU64::new(0),
        }
    }

    /// Takes the right to look up a text for a presenter. The text counts as unknown until it is
    /// given back, so that clients gain nothing by sending many at once or by disconnecting.
    ///
    /// # Errors
    ///
    /// `TooManyUnknown` beyond one of the budgets and its share.
    pub(crate) fn take(
        &self,
        who: Presenter,
        has_form: bool,
        now: Duration,
    ) -> Result<Taken, ServiceError> {
        let mut taken = Taken::default();
        let Some(rate) = self.rate else { return Ok(taken) };
        for (part, counted) in taken.0.iter_mut().zip(who.0) {
            let Some(counted) = counted else { continue };
            // Not within the `match`: the lock would be held until its end, and giving back there
            // may need the same lock.
            let took = self.shard(counted).take(counted, rate.times(counted), has_form, now);
            match took {
                Ok(took) => *part = took,
                Err(wait) => {
                    self.give_back(who, taken, now);
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    return Err(ServiceError::TooManyUnknown(wait.as_secs() + 1));
                }
            }
        }
        Ok(taken)
    }

    /// Takes the right to learn of this many texts whether they are known. A presenter with any
    /// budget left may take any number and goes into debt for the rest: a file is refused or read
    /// as a whole.
    ///
    /// # Errors
    ///
    /// `TooManyUnknown` if one of the budgets is used up. Nothing is taken then.
    pub(crate) fn take_many(
        &self,
        who: Presenter,
        number: usize,
        now: Duration,
    ) -> Result<(), ServiceError> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut charged = Presenter::OPERATOR;
        for (place, counted) in who.0.into_iter().enumerate() {
            let Some(counted) = counted else { continue };
            let rate = rate.times(counted);
            let took = self.shard(counted).take_many(counted, rate, number, now);
            if let Err(wait) = took {
                self.give_back_many(charged, number, now);
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(ServiceError::TooManyUnknown(wait.as_secs() + 1));
            }
            charged.0[place] = Some(counted);
        }
        Ok(())
    }

    /// Gives back the parts that were taken for this many texts.
    pub(crate) fn give_back_many(&self, who: Presenter, number: usize, now: Duration) {
        let Some(rate) = self.rate else { return };
        for counted in who.0.into_iter().flatten() {
            let each = rate.times(counted).each;
            let all = Rate { each: times(each, number), ..rate };
            self.shard(counted).give_back(counted, all, now);
        }
    }

    /// Gives back the part that was taken for a text that is a token, or whose lookup failed.
    pub(crate) fn give_back(&self, who: Presenter, taken: Taken, now: Duration) {
        let Some(rate) = self.rate else { return };
        for (part, counted) in taken.0.into_iter().zip(who.0) {
            let Some(counted) = counted else { continue };
            match part {
                Part::Budget => self.shard(counted).give_back(counted, rate.times(counted), now),
                Part::Share { has_form } => self.shard(counted).give_turn_back(counted, has_form),
                Part::Nothing => {}
            }
        }
    }

    /// Returns how many lookups were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn shard(&self, who: Counted) -> MutexGuard<'_, Shard> {
        let place = usize::try_from(self.hasher.hash_one(who) % SHARDS as u64).unwrap_or(0);
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rate {
    /// Returns the rate of an owner whose budget is a multiple of that of an address.
    fn times(self, who: Counted) -> Self {
        let multiple = who.multiple();
        Self { each: self.each / multiple, share: self.share / multiple, ..self }
    }
}

impl Shard {
    /// Takes a part of the owner's budget, or of the share. Returns `Err` with the time until one
    /// is available.
    fn take(
        &mut self,
        who: Counted,
        rate: Rate,
        has_form: bool,
        now: Duration,
    ) -> Result<Part, Duration> {
        let budget = self.budget(who, now);
        let owed = budget.whole_at.max(now) + rate.each;
        let room_at = owed.saturating_sub(rate.second * who.burst_s());
        if room_at <= now {
            budget.whole_at = owed;
            return Ok(Part::Budget);
        }
        let next = &mut budget.share_at[usize::from(has_form)];
        if *next <= now {
            *next = now + rate.share;
            return Ok(Part::Share { has_form });
        }
        Err(room_at.saturating_sub(now))
    }

    /// Takes this many parts of the owner's budget if at least one is available. Returns `Err` with
    /// the time until one is.
    fn take_many(
        &mut self,
        who: Counted,
        rate: Rate,
        number: usize,
        now: Duration,
    ) -> Result<(), Duration> {
        let budget = self.budget(who, now);
        let whole_at = budget.whole_at.max(now);
        let room_at = (whole_at + rate.each).saturating_sub(rate.second * who.burst_s());
        if room_at > now {
            return Err(room_at.saturating_sub(now));
        }
        budget.whole_at = whole_at + times(rate.each, number);
        Ok(())
    }

    fn give_back(&mut self, who: Counted, rate: Rate, now: Duration) {
        match self.held.get_mut(&who) {
            Some(budget) => {
                budget.whole_at = budget.whole_at.saturating_sub(rate.each);
                if budget.whole_at <= now {
                    self.held.remove(&who);
                }
            }
            None => self.others.whole_at = self.others.whole_at.saturating_sub(rate.each),
        }
    }

    /// Returns a turn of the reserved share: the next lookup may have it.
    fn give_turn_back(&mut self, who: Counted, has_form: bool) {
        let budget = self.held.get_mut(&who).unwrap_or(&mut self.others);
        budget.share_at[usize::from(has_form)] = Duration::ZERO;
    }

    /// Returns the budget that applies to the owner.
    fn budget(&mut self, who: Counted, now: Duration) -> &mut Budget {
        if self.held.len() >= HELD_MAX && !self.held.contains_key(&who) {
            if now >= self.look_at {
                self.look_at = now + LOOK_EVERY;
                self.held.retain(|_, budget| budget.whole_at > now);
            }
            if self.held.len() >= HELD_MAX {
                return &mut self.others;
            }
        }
        self.held.entry(who).or_default()
    }
}

fn times(each: Duration, number: usize) -> Duration {
    each.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn at(text: &str) -> Presenter {
        Presenter::at(Some(text.parse().unwrap()))
    }

    /// Returns the facts of a verifier's token.
    fn of_workspace(workspace: u128, token: u128) -> Facts {
        let mut facts = crate::kernel::known::facts(token, 7);
        let mut surroundings = (*facts.surroundings).clone();
        surroundings.workspace_id = domain::ids::WorkspaceId(Uuid::from_u128(workspace));
        facts.surroundings = surroundings.into();
        facts
    }

    /// Returns the presenter at an IPv4 address.
    fn address(number: u32) -> Presenter {
        Presenter::at(Some(IpAddr::from(number.to_be_bytes())))
    }

    /// Presents unknown texts until one is refused. Returns how many were looked up.
    fn exhaust(unknown: &UnknownTokens, who: Presenter, now: Duration) -> usize {
        (0..100_000).take_while(|_| unknown.take(who, false, now).is_ok()).count()
    }

    #[test]
    fn reserved_lookup_that_found_a_token_is_available_again() {
        let unknown = UnknownTokens::new(100);
        let guesser = at("192.0.2.1");
        exhaust(&unknown, guesser, START);
        for (has_form, now) in [(false, START + Duration::from_secs(1)), (true, START)] {
            let last = std::iter::from_fn(|| unknown.take(guesser, has_form, now).ok()).last();
            let last = last.expect("a lookup is available");
            assert!(unknown.take(guesser, has_form, now).is_err());
            unknown.give_back(guesser, last, now);
            assert!(unknown.take(guesser, has_form, now).is_ok());
            assert!(unknown.take(guesser, has_form, now).is_err());
        }
    }

    #[test]
    fn unknown_texts_get_a_burst_then_the_rate_and_a_share() {
        let unknown = UnknownTokens::new(100);
        let guesser = at("192.0.2.1");
        // The budget, and one lookup of the share.
        assert_eq!(exhaust(&unknown, guesser, START), 1_001);
        let refused = unknown.take(guesser, false, START);
        assert!(matches!(refused, Err(ServiceError::TooManyUnknown(1))), "{refused:?}");
        // Tokens of Tessera's own form have a share that guesses at other tokens don't take.
        assert!(unknown.take(guesser, true, START).is_ok());
        assert!(unknown.take(guesser, true, START).is_err());
        assert!(unknown.take(at("192.0.2.2"), false, START).is_ok());
        let later = exhaust(&unknown, guesser, START + Duration::from_secs(1));
        assert!((95..=101).contains(&later), "{later}");
        assert_eq!(unknown.refused(), 4);
    }

    #[test]
    fn found_tokens_use_up_no_budget() {
        let unknown = UnknownTokens::new(1);
        let gateway = at("192.0.2.1");
        for _ in 0..100_000 {
            let taken = unknown.take(gateway, true, START).unwrap();
            assert_eq!(taken, Taken([Part::Nothing, Part::Nothing, Part::Budget]));
            unknown.give_back(gateway, taken, START);
        }
        assert!(unknown.shards.iter().all(|shard| shard.lock().unwrap().held.is_empty()));
    }

    #[test]
    fn file_is_looked_up_as_a_whole_and_charged_by_row() {
        let unknown = UnknownTokens::new(10);
        let caller = at("192.0.2.1");
        unknown.take_many(caller, 1_000, START).unwrap();
        let refused = unknown.take_many(caller, 1, START);
        assert!(matches!(refused, Err(ServiceError::TooManyUnknown(91))), "{refused:?}");
        assert!(unknown.take_many(caller, 1, START + Duration::from_secs(91)).is_ok());
        let other = at("192.0.2.2");
        unknown.take_many(other, 1_000, START).unwrap();
        unknown.give_back_many(other, 1_000, START);
        assert_eq!(exhaust(&unknown, other, START), 101, "the budget is full again");
        // When one of several budgets refuses, nothing is kept.
        let verifier = Presenter::verified_by(&of_workspace(1, 1), None);
        unknown.take_many(verifier, 1_000, START).unwrap();
        assert!(unknown.take_many(verifier, 1_000, START).is_err());
        let another = Presenter::verified_by(&of_workspace(1, 2), None);
        assert!(unknown.take_many(another, 1, START + Duration::from_secs(2)).is_ok());
    }

    #[test]
    fn addresses_of_one_subscriber_share_a_budget() {
        let unknown = UnknownTokens::new(1);
        exhaust(&unknown, at("2001:db8::1"), START);
        assert!(unknown.take(at("2001:db8::ffff:2"), false, START).is_err());
        assert!(unknown.take(at("2001:db8:0:1::1"), false, START).is_ok());
        exhaust(&unknown, at("192.0.2.1"), START);
        assert!(unknown.take(at("::ffff:192.0.2.1"), false, START).is_err());
    }

    /// Some of this many presenters have both of their budgets behind one lock.
    #[test]
    fn refusal_does_not_deadlock_if_both_budgets_share_a_lock() {
        let (is_over, over) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let unknown = UnknownTokens::new(1);
            for subscriber in 0..2_000_u32 {
                let [high, low] = [subscriber >> 8, subscriber & 0xff];
                let who = at(&format!("2001:db8:{high:x}{low:02x}::1"));
                exhaust(&unknown, who, START);
                assert!(unknown.take(who, false, START).is_err());
            }
            is_over.send(()).unwrap();
        });
        over.recv_timeout(Duration::from_mins(2)).expect("a refusal deadlocked");
    }

    #[test]
    fn addresses_of_one_site_share_a_larger_budget() {
        let unknown = UnknownTokens::new(1);
        let guess = |site: u16, number: u32| {
            let who = at(&format!("2001:db8:{site:x}:{number:x}::1"));
            unknown.take(who, false, START).is_ok()
        };
        // The budget of ten addresses, and one lookup of the share.
        assert_eq!((0..1_000).filter(|number| guess(1, *number)).count(), 101);
        assert!(guess(2, 1));
    }

    #[test]
    fn verifier_that_invents_addresses_is_limited_by_its_own_budget() {
        let unknown = UnknownTokens::new(1);
        let verifier = |id: u128, address: &str| {
            Presenter::verified_by(&of_workspace(id, id), Some(address.parse().unwrap()))
        };
        let invented = |id: u128, number: u32| {
            verifier(id, &std::net::Ipv4Addr::from_bits(number).to_string())
        };
        let guess =
            |id: u128, number: u32| unknown.take(invented(id, number), false, START).is_ok();
        // A second of the rate of fifty addresses, and one lookup of the share.
        assert_eq!((0..10_000).filter(|number| guess(1, *number)).count(), 51);
        assert!(guess(2, 20_000), "a verifier of another workspace");
        // Other addresses were not charged for the texts that the verifier was refused.
        assert_eq!(exhaust(&unknown, at("0.0.39.15"), START), 11);
        // Tokens that are found give back the parts that they took from both.
        for number in 30_000..40_000 {
            let who = invented(3, number);
            let taken = unknown.take(who, true, START).unwrap();
            unknown.give_back(who, taken, START);
        }
        // An address that guesses stays limited for all verifiers of a workspace. Texts that
        // verifiers attribute to it take nothing from other workspaces that name it, nor from the
        // address itself.
        exhaust(&unknown, verifier(4, "192.0.2.1"), START);
        assert!(unknown.take(verifier(4, "192.0.2.1"), false, START).is_err());
        assert!(unknown.take(verifier(4, "192.0.2.2"), false, START).is_ok());
        assert!(unknown.take(verifier(5, "192.0.2.1"), false, START).is_ok());
        assert_eq!(exhaust(&unknown, at("192.0.2.1"), START), 11);
    }

    #[test]
    fn more_verifiers_of_a_workspace_get_no_more_budget() {
        let unknown = UnknownTokens::new(1);
        let guesses = |workspace: u128, token: u128, named: bool| {
            let verifier = of_workspace(workspace, token);
            let presented = |number: u32| {
                let address = named.then(|| IpAddr::from(number.to_be_bytes()));
                unknown.take(Presenter::verified_by(&verifier, address), false, START).is_ok()
            };
            (0..1_000).filter(|number| presented(*number)).count()
        };
        // A verifier that names no address has the budget of one address, and one lookup of the
        // share.
        assert_eq!(guesses(1, 1, false), 11);
        assert_eq!(guesses(1, 2, false), 11);
        // Together they have the rest of the workspace's budget, and one lookup of its share.
        assert_eq!(guesses(1, 3, true), 51 - 22);
        for token in 4..10 {
            assert_eq!(guesses(1, token, true), 0);
            assert_eq!(guesses(1, token, false), 0);
        }
        assert_eq!(guesses(2, 11, true), 51);
    }

    #[test]
    fn operator_and_unlimited_instance_are_never_refused() {
        for (unknown, who) in
            [(UnknownTokens::new(0), at("192.0.2.1")), (UnknownTokens::new(1), Presenter::OPERATOR)]
        {
            for _ in 0..1_000 {
                assert_eq!(unknown.take(who, false, START).unwrap(), Taken::default());
            }
        }
    }

    #[test]
    fn many_addresses_use_bounded_memory_and_reset_no_budget() {
        let unknown = UnknownTokens::new(1);
        let guesser = at("192.0.2.1");
        exhaust(&unknown, guesser, START);
        for number in 0..200_000_u32 {
            let _ = unknown.take(address(number), false, START);
        }
        let held = |unknown: &UnknownTokens| -> usize {
            unknown.shards.iter().map(|shard| shard.lock().unwrap().held.len()).sum()
        };
        assert_eq!(held(&unknown), SHARDS * HELD_MAX);
        assert!(unknown.take(guesser, false, START).is_err());
        // The addresses without room are limited together.
        let late = address(u32::MAX);
        exhaust(&unknown, late, START);
        assert!(unknown.take(late, false, START).is_err());
        // When budgets are whole again, there is room.
        let rested = START + Duration::from_secs(200);
        for number in 1_000_000..1_001_000_u32 {
            let _ = unknown.take(address(number), false, rested);
        }
        assert!(held(&unknown) < SHARDS * HELD_MAX);
    }

    proptest! {
        #[test]
        fn unknown_texts_never_exceed_burst_rate_and_share(
            per_second in 1..200_u32, steps in proptest::collection::vec(0..500_u64, 1..100),
        ) {
            let unknown = UnknownTokens::new(per_second);
            let (who, mut now) = (at("192.0.2.1"), START);
            let mut looked_up = 0_u32;
            for step in steps {
                now += Duration::from_millis(step);
                looked_up += u32::try_from(exhaust(&unknown, who, now)).unwrap();
            }
            let seconds = now.saturating_sub(START).as_secs_f64();
            let budget = f64::from(per_second) * (f64::from(BURST_S) + seconds);
            let share = seconds * f64::from(per_second) / f64::from(SHARE);
            prop_assert!(f64::from(looked_up) <= budget + share + 3.0, "{looked_up}");
        }
    }
}
