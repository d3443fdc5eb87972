//! Limits how often a password may be guessed.
//!
//! An attempt is counted, in a committed transaction, *before* the password is hashed, and
//! uncounted if the password was right. So however many guesses arrive at the same time, at however
//! many servers, no more are checked than the limits allow.
//!
//! | counted | limit |
//! |---|---|
//! | an account from one address | [`PAIR`]: some free attempts, then growing delays |
//! | an address, with all accounts | [`ADDRESS`]: a bucket that refills steadily |
//! | a /48 network of IPv6, with all accounts | [`SITE`]: a larger bucket |
//! | an account, from all addresses | [`ACCOUNT`]: a bucket that refills steadily |
//! | an address or a /48 network, with invalid one-time links | [`ADDRESS`], [`SITE`], separately |
//! | a person, a person's links, or an address, with new passwords to judge | [`JUDGED`] |
//! | the links of a person, with the person's present password | [`BROWSER`] |
//! | an account from an address that it signed in from before | [`PAIR`] and [`ADDRESS`] only |
//! | an account from a browser that signed in to it before | [`BROWSER`] instead of all others |
//!
//! - No attacker can lock an account completely. An attacker with many addresses can take every
//!   refill of [`ACCOUNT`] for as long as the attack lasts, and then the account cannot sign in
//!   from new places. So that bucket, and that of the /48, do not apply to the addresses from which
//!   the account signed in within [`KNOWN_FOR`], with any client, nor to browsers that prove that
//!   they did ([`super::known_browser`]).
//! - The latest [`NETWORKS_MAX`] such addresses of an account are kept, also after a password
//!   change: the owner needs them most during an attack, and they allow few guesses.
//! - Accounts that do not exist are counted in the same way, so that a refusal does not show
//!   whether an account exists.
//! - An IPv6 address counts as its /64 network, which is what one customer gets; many customers get
//!   a whole /48. Callers without a known address share a bucket of their own.
//! - Rows are locked in one order (/48, address, account, pair), so that two attempts
//!   cannot deadlock.

use std::net::IpAddr;

use domain::{ids::UserId, names::email_key};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{KNOWN_FOR, known_browser::BrowserId};
use crate::{
    OpContext, ServiceError,
    kernel::{network, prefix},
    password::Tenant,
    state::Inner,
    store::{
        database_time,
        throttles::{self as store, Attempts},
    },
};

/// An account from one address: 10 free attempts, then 5 s, 10 s, … up to 15 minutes.
const PAIR: Rule = Rule::Growing { free: 10, first_s: 5, longest_s: 900 };
/// A browser that signed in to the account before.
const BROWSER: Rule = Rule::Growing { free: 5, first_s: 5, longest_s: 900 };
/// An address: 100 at once, then one every 6 s. It allows for the mistakes of an office behind
/// one address.
const ADDRESS: Rule = Rule::Steady { burst: 100, every_s: 6 };
/// A /48 network of IPv6, with 65,536 of the networks above: 300 at once, then one every 2 s.
const SITE: Rule = Rule::Steady { burst: 300, every_s: 2 };
/// An account, from anywhere: 50 at once, then one a minute.
const ACCOUNT: Rule = Rule::Steady { burst: 50, every_s: 60 };
/// New passwords that are judged for a person, or for an address: 60 at once, then one every 5 s.
const JUDGED: Rule = Rule::Steady { burst: 60, every_s: 5 };
/// How much earlier than the last attempt an attempt without a delay may have begun: requests
/// overtake each other, and servers' clocks differ.
const OVERTAKING: Duration = Duration::minutes(1);
/// A delay that exceeds the longest one of its rule by more than this was counted by a clock that
/// was ahead. It is ignored.
const CLOCK_WAS_AHEAD: Duration = Duration::hours(1);
/// The maximum number of known networks of an account.
const NETWORKS_MAX: i64 = 20;
/// How long attempts are remembered after the last delay.
const FORGET: Duration = Duration::hours(12);

/// A limit on attempts.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// `free` attempts without a delay; each further one has to wait twice as long as the
    /// one before.
    Growing { free: i32, first_s: i64, longest_s: i64 },
    /// `burst` attempts at once, and one more every `every_s` seconds.
    Steady { burst: i32, every_s: i64 },
}

/// A counted attempt. [`Throttle::succeeded`] uncounts it.
pub(crate) struct Throttle {
    counters: Vec<([u8; 32], Rule)>,
    /// The network that becomes known to this account on success.
    network: Option<(UserId, [u8; 32])>,
    /// Whether to use the database's clock. Servers with differing clocks would otherwise ignore
    /// each other's delays.
    by_database: bool,
}

impl Throttle {
    /// Returns the counters of an attempt on an account, which is an e-mail address as typed. They
    /// are those of the caller's address, or of a browser that `user` is known to use. `user` is
    /// `None` if the account doesn't exist.
    pub(crate) async fn of_account(
        connection: &mut PgConnection,
        inner: &Inner,
        ctx: &OpContext,
        email: &str,
        user: Option<UserId>,
        browser: Option<BrowserId>,
    ) -> Result<Self, ServiceError> {
        let key = |purpose, parts: &[&[u8]]| inner.keys.blind(purpose, parts);
        let network = network(ctx.client_ip);
        // Send the same query if the account doesn't exist.
        let id = user.unwrap_or(UserId(Uuid::nil()));
        let known = key("sign-in known network", &[id.0.as_bytes(), network.as_bytes()]);
        let is_known = store::is_known(connection, id, &known, ctx.now - KNOWN_FOR).await?;
        // All spellings of an address count for the account that they lead to.
        let account = email_key(email);
        let address = (key("sign-in from address", &[network.as_bytes()]), ADDRESS);
        let pair = (key("sign-in pair", &[account.as_bytes(), network.as_bytes()]), PAIR);
        let counters = if let Some(browser) = browser {
            vec![(key("sign-in browser", &[id.0.as_bytes(), &browser]), BROWSER)]
        } else if is_known {
            vec![address, pair]
        } else {
            let site = site(ctx.client_ip)
                .map(|site| (key("sign-in from site", &[site.as_bytes()]), SITE));
            let account = (key("sign-in to account", &[account.as_bytes()]), ACCOUNT);
            site.into_iter().chain([address, account, pair]).collect()
        };
        let by_database = inner.clock.is_of_machine();
        Ok(Self { counters, network: user.map(|user| (user, known)), by_database })
    }

    /// Returns the counters of a caller who opens a one-time link. An address may try as many wrong
    /// links as passwords.
    pub(crate) fn of_links(inner: &Inner, ctx: &OpContext) -> Self {
        let key = |purpose, text: &str| inner.keys.blind(purpose, &[text.as_bytes()]);
        let site = site(ctx.client_ip).map(|site| (key("link from site", &site), SITE));
        let address = (key("link from address", &network(ctx.client_ip)), ADDRESS);
        Self::of(inner, site.into_iter().chain([address]).collect())
    }

    /// Returns the counter of new passwords that are judged.
    pub(crate) fn of_judged(inner: &Inner, tenant: Tenant) -> Self {
        let key = inner.keys.blind("judged passwords", &[tenant.as_bytes()]);
        Self::of(inner, vec![(key, JUDGED)])
    }

    /// Returns the counter of new passwords that are judged for callers with a link of this person.
    pub(crate) fn of_judged_by_link(inner: &Inner, user: UserId) -> Self {
        let key = inner.keys.blind("judged passwords of links", &[user.0.as_bytes()]);
        Self::of(inner, vec![(key, JUDGED)])
    }

    /// Returns the counter of new passwords that callers with a link of this person choose. Each of
    /// them is compared with the person's present password.
    pub(crate) fn of_passwords_by_link(inner: &Inner, user: UserId) -> Self {
        let key = inner.keys.blind("passwords of links", &[user.0.as_bytes()]);
        Self::of(inner, vec![(key, BROWSER)])
    }

    fn of(inner: &Inner, counters: Vec<([u8; 32], Rule)>) -> Self {
        Self { counters, network: None, by_database: inner.clock.is_of_machine() }
    }

    /// Counts an attempt, unless one of its counters refuses it. The caller commits before hashing
    /// the password.
    ///
    /// # Errors
    /// `TooManyAttempts`, in which case the caller must not commit.
    pub(crate) async fn take(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let (now, locked) = self.lock(connection, now).await?;
        for ((key, rule), found) in self.counters.iter().zip(locked) {
            match rule.take(found, now) {
                Ok(taken) => store::set(connection, key, &taken).await?,
                Err(wait) => {
                    let seconds = wait.whole_seconds() + i64::from(wait.subsec_nanoseconds() > 0);
                    return Err(ServiceError::TooManyAttempts(seconds.max(1).unsigned_abs()));
                }
            }
        }
        Ok(())
    }

    /// Uncounts the attempt after a right password, and makes this network known to the account.
    /// The caller has locked the person's row.
    ///
    /// All of the account's attempts from this address are forgotten. Earlier attempts of the
    /// address and of the account as a whole stay: otherwise an attacker could get new attempts by
    /// signing in to their own account, or by waiting for the owner's sign-in.
    pub(crate) async fn succeeded(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let (now, locked) = self.lock(connection, now).await?;
        for ((key, rule), found) in self.counters.iter().zip(locked) {
            store::set(connection, key, &rule.give_back(found, now)).await?;
        }
        if let Some((user, network)) = &self.network {
            store::know(connection, *user, network, now, NETWORKS_MAX).await?;
        }
        Ok(())
    }

    /// Uncounts the attempt because its password was not checked. Delays stay as they are.
    pub(crate) async fn unchecked(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), ServiceError> {
        let (now, locked) = self.lock(connection, now).await?;
        for ((key, rule), found) in self.counters.iter().zip(locked) {
            store::set(connection, key, &rule.take_back(found, now)).await?;
        }
        Ok(())
    }

    async fn lock(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(OffsetDateTime, Vec<Attempts>), ServiceError> {
        let now = if self.by_database { database_time(connection).await? } else { now };
        let keys: Vec<[u8; 32]> = self.counters.iter().map(|(key, _)| *key).collect();
        Ok((now, store::lock(connection, &keys, now).await?))
    }
}

impl Rule {
    /// Returns the state after one more attempt, or how long to wait for it.
    fn take(self, found: Attempts, now: OffsetDateTime) -> Result<Attempts, Duration> {
        let found = self.without_clock_ahead(found, now);
        match self {
            Self::Growing { free, first_s, longest_s } => {
                if found.count > 0 && found.open_at > now {
                    return Err(found.open_at - now);
                }
                let before = if found.forget_at > now { found.count } else { 0 };
                let count = before.saturating_add(1);
                // The last free attempt starts the first delay.
                let delay_s = match count - free {
                    ..0 => 0,
                    // 2^20 times any delay is far beyond the longest one.
                    over => longest_s.min(first_s << over.min(20)),
                };
                let end = now + Duration::seconds(delay_s);
                let open_at = if delay_s == 0 { now - OVERTAKING } else { end };
                Ok(Attempts { count, open_at, forget_at: end + FORGET })
            }
            Self::Steady { burst, every_s } => {
                let every = Duration::seconds(every_s);
                let empty_at = found.open_at.max(now) + every;
                let full_at = now + every * burst;
                if empty_at > full_at {
                    return Err(empty_at - full_at);
                }
                Ok(Attempts { count: 0, open_at: empty_at, forget_at: empty_at })
            }
        }
    }

    /// Returns the state without delays that were counted by a clock that was far ahead, such as
    /// that of an earlier primary. Otherwise all attempts would be refused until that time,
    /// possibly for years.
    fn without_clock_ahead(self, found: Attempts, now: OffsetDateTime) -> Attempts {
        let longest = match self {
            Self::Growing { longest_s, .. } => Duration::seconds(longest_s),
            Self::Steady { burst, every_s } => Duration::seconds(every_s) * burst,
        };
        if found.open_at <= now + longest + CLOCK_WAS_AHEAD {
            return found;
        }
        match self {
            Self::Growing { .. } => Attempts { open_at: now, forget_at: now + FORGET, ..found },
            Self::Steady { every_s, .. } => {
                let open_at = now + longest - Duration::seconds(every_s);
                Attempts { open_at, forget_at: open_at, ..found }
            }
        }
    }

    /// Returns the state without an attempt that did not happen.
    fn take_back(self, found: Attempts, now: OffsetDateTime) -> Attempts {
        match self {
            Self::Growing { .. } => Attempts { count: (found.count - 1).max(0), ..found },
            Self::Steady { .. } => self.give_back(found, now),
        }
    }

    /// Returns the state after a successful attempt.
    fn give_back(self, found: Attempts, now: OffsetDateTime) -> Attempts {
        match self {
            Self::Growing { .. } => Attempts { count: 0, open_at: now, forget_at: now },
            Self::Steady { every_s, .. } => {
                let open_at = found.open_at - Duration::seconds(every_s);
                Attempts { count: 0, open_at, forget_at: open_at }
            }
        }
    }
}

/// Returns the /48 network of an IPv6 address.
fn site(address: Option<IpAddr>) -> Option<String> {
    match address?.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(prefix(address, 48)),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);
    const NEW: Attempts = Attempts { count: 0, open_at: NOW, forget_at: NOW };

    #[test]
    fn delay_grows_with_each_attempt_up_to_the_maximum() {
        let (mut now, mut state, mut waits) = (NOW, NEW, Vec::new());
        for _ in 0..21 {
            state = PAIR.take(state, now).unwrap();
            if let Err(wait) = PAIR.take(state, now) {
                waits.push(wait.whole_seconds());
                now += wait;
            }
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
        now += FORGET;
        state = PAIR.take(state, now).unwrap();
        assert_eq!(state.count, 1, "forgotten");
        let right = PAIR.give_back(PAIR.take(state, now).unwrap(), now);
        assert_eq!(PAIR.take(right, now).unwrap().count, 1);
    }

    #[test]
    fn attempt_counted_by_a_clock_that_was_years_ahead_locks_no_account_out() {
        let ahead = NOW + Duration::days(900);
        for rule in [PAIR, BROWSER, ADDRESS, SITE, ACCOUNT] {
            let mut state = NEW;
            while let Ok(taken) = rule.take(state, ahead) {
                state = taken;
            }
            let state = rule.take(state, NOW).unwrap();
            // Attempts that the right clock counts are limited again.
            let refused = (0..1_000).try_fold(state, |state, _| rule.take(state, NOW));
            assert!(refused.is_err(), "{rule:?}");
        }
        // Clocks that differ by minutes allow no additional attempt.
        let minutes = NOW + Duration::minutes(30);
        for rule in [PAIR, ADDRESS, SITE, ACCOUNT] {
            let mut state = NEW;
            while let Ok(taken) = rule.take(state, minutes) {
                state = taken;
            }
            assert!(rule.take(state, NOW).is_err(), "{rule:?}");
        }
    }

    #[test]
    fn attempts_of_many_years_do_not_overflow() {
        let found = Attempts { count: i32::MAX, open_at: NOW, forget_at: NOW + FORGET };
        let taken = PAIR.take(found, NOW).unwrap();
        assert_eq!(taken.open_at - NOW, Duration::seconds(900));
    }

    #[test]
    fn overtaken_attempt_is_not_refused() {
        let later = PAIR.take(NEW, NOW + Duration::seconds(2)).unwrap();
        assert_eq!(PAIR.take(later, NOW).unwrap().count, 2);
    }

    #[test]
    fn withdrawn_attempt_does_not_count_and_ends_no_delay() {
        let mut state = NEW;
        for _ in 0..30 {
            state = PAIR.take_back(PAIR.take(state, NOW).unwrap(), NOW);
        }
        assert_eq!(state.count, 0);
        for _ in 0..10 {
            state = PAIR.take(state, NOW).unwrap();
        }
        assert!(PAIR.take(PAIR.take_back(state, NOW), NOW).is_err());
    }

    #[test]
    fn bucket_refills_steadily_and_successful_attempts_are_given_back() {
        let mut state = NEW;
        for _ in 0..100 {
            state = ADDRESS.take(state, NOW).unwrap();
        }
        assert_eq!(ADDRESS.take(state, NOW), Err(Duration::seconds(6)));
        assert_eq!(ADDRESS.take(state, NOW + Duration::seconds(2)), Err(Duration::seconds(4)));
        state = ADDRESS.take(state, NOW + Duration::seconds(6)).unwrap();
        assert!(ADDRESS.take(state, NOW + Duration::seconds(6)).is_err());
        let right = ADDRESS.give_back(state, NOW);
        assert!(ADDRESS.take(right, NOW + Duration::seconds(6)).is_ok());
        // After a rest, it is as full as at first, and no fuller.
        let mut rested = state;
        let later = NOW + Duration::days(1);
        for _ in 0..100 {
            rested = ADDRESS.take(rested, later).unwrap();
        }
        assert!(ADDRESS.take(rested, later).is_err());
    }

    #[test]
    fn network_of_an_address_belongs_to_one_customer() {
        for (address, expected) in [
            ("192.0.2.1", ("192.0.2.1", None)),
            ("::ffff:192.0.2.1", ("192.0.2.1", None)),
            ("2001:db8:1:2::1", ("2001:db8:1:2::/64", Some("2001:db8:1::/48"))),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", ("2001:db8:1:2::/64", Some("2001:db8:1::/48"))),
            ("2001:db8:1:3::1", ("2001:db8:1:3::/64", Some("2001:db8:1::/48"))),
            ("2001:db8:2:3::1", ("2001:db8:2:3::/64", Some("2001:db8:2::/48"))),
        ] {
            let address = Some(address.parse().unwrap());
            assert_eq!((&*network(address), site(address).as_deref()), expected);
        }
        assert_eq!((network(None), site(None)), ("unknown".to_owned(), None));
    }
}
