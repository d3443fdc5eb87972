//! Browsers that signed in to an account before.
//!
//! Attackers can use up the attempts of an account and of an address, so a browser that signed in
//! to the account within the last 30 days has attempts of its own. A cookie proves the sign-in. For
//! each of the last few accounts, it contains the time of the sign-in, a random id, and a MAC under
//! a key of the keys file. The cookie is not a credential: it only allows a few guesses.
//!
//! The MAC covers the account, its password's hash, and a number that increases when sessions are
//! ended: a new password or the end of sessions invalidates all such cookies.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::ids::UserId;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};

use crate::{entropy, secret::KnownBrowser, state::Inner};

/// How long a browser stays known after it signed in.
pub const KNOWN_FOR: Duration = Duration::days(30);
/// The maximum number of accounts of one browser. The least recently used ones are dropped.
const ACCOUNTS_MAX: usize = 4;

const ID_LENGTH: usize = 16;
const TIME_LENGTH: usize = 8;
const LENGTH: usize = TIME_LENGTH + ID_LENGTH + 32;

/// The length of a proof as text: base64url without padding.
const TEXT_LENGTH: usize = (LENGTH * 4).div_ceil(3);
/// The maximum number of entries that are tried as proofs in all cookies of a request. Each of them
/// costs a MAC.
const ENTRIES_MAX: usize = 128;
/// The separator of two cookies in a [`KnownBrowser`]. The value of a cookie never contains
/// a space.
pub const COOKIE_SEPARATOR: &str = " ";

/// The id of a browser.
pub(crate) type BrowserId = [u8; ID_LENGTH];

/// The account of a proof, in its present state.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) user: UserId,
    pub(crate) password_hash: &'a str,
    pub(crate) generation: i64,
}

/// A browser that proved that it signed in to an account.
pub(crate) struct Recognised {
    pub(crate) id: BrowserId,
    /// The text of its proof, which the next one replaces.
    entry: String,
}

impl Inner {
    /// Returns the browser if its cookie proves that it signed in to the account.
    pub(crate) fn recognise(
        &self,
        cookie: Option<&KnownBrowser>,
        account: &Account<'_>,
        now: OffsetDateTime,
    ) -> Option<Recognised> {
        entries(cookie).find_map(|entry| {
            let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(entry).ok()?.try_into().ok()?;
            let (at, rest) = bytes.split_first_chunk::<TIME_LENGTH>()?;
            let (id, mac) = rest.split_first_chunk::<ID_LENGTH>()?;
            let expected = self.browser_mac(account, *at, id);
            let age = Duration::seconds(now.unix_timestamp().checked_sub(i64::from_be_bytes(*at))?);
            // Another server's clock may be a little ahead.
            let fresh = age > -Duration::hours(1) && age < KNOWN_FOR;
            (bool::from(expected.ct_eq(mac)) && fresh)
                .then(|| Recognised { id: *id, entry: entry.to_owned() })
        })
    }

    /// Returns the new cookie of a browser that has just signed in to the account. It keeps the
    /// proofs for other accounts.
    pub(crate) fn know(
        &self,
        cookie: Option<&KnownBrowser>,
        recognised: Option<&Recognised>,
        account: &Account<'_>,
        now: OffsetDateTime,
    ) -> KnownBrowser {
        let at = now.unix_timestamp().to_be_bytes();
        let id: BrowserId = entropy::bytes(self.entropy.as_ref());
        let mac = self.browser_mac(account, at, &id);
        let new = URL_SAFE_NO_PAD.encode([&at[..], &id, &mac].concat());
        let others = entries(cookie)
            .filter(|entry| recognised.is_none_or(|recognised| recognised.entry != *entry))
            .filter(|entry| URL_SAFE_NO_PAD.decode(entry).is_ok_and(|bytes| bytes.len() == LENGTH));
        let kept: Vec<&str> =
            std::iter::once(new.as_str()).chain(others).take(ACCOUNTS_MAX).collect();
        KnownBrowser::new(kept.join("."))
    }

    fn browser_mac(
        &self,
        account: &Account<'_>,
        at: [u8; TIME_LENGTH],
        id: &BrowserId,
    ) -> [u8; 32] {
        self.keys.blind(
            "known browser",
            &[
                account.user.0.as_bytes(),
                account.password_hash.as_bytes(),
                &account.generation.to_be_bytes(),
                &at,
                id,
            ],
        )
    }
}

/// Returns possible proofs: the first few texts of the right length in each cookie. A browser sends
/// several cookies of this name if another site, or another server on this host, planted some.
/// Those must not hide the right one.
fn entries(cookie: Option<&KnownBrowser>) -> impl Iterator<Item = &str> {
    let cookies = cookie.map(KnownBrowser::expose).unwrap_or_default().split(COOKIE_SEPARATOR);
    cookies
        .flat_map(|cookie| {
            cookie.split('.').filter(|entry| entry.len() == TEXT_LENGTH).take(2 * ACCOUNTS_MAX)
        })
        .take(ENTRIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_cookie_does_not_hide_a_valid_one() {
        let (real, planted) = ("r".repeat(TEXT_LENGTH), "p".repeat(TEXT_LENGTH));
        for before in [["a"; 8].join("."), [&*planted; 8].join("."), ".".repeat(50)] {
            let cookie = KnownBrowser::new([&*before, &real].join(COOKIE_SEPARATOR));
            assert!(entries(Some(&cookie)).any(|entry| entry == real), "{before}");
        }
        let long = KnownBrowser::new(vec![&*planted; 100].join("."));
        assert_eq!(entries(Some(&long)).count(), 2 * ACCOUNTS_MAX);
        let many = KnownBrowser::new(vec![&*planted; 1_000].join(COOKIE_SEPARATOR));
        assert_eq!(entries(Some(&many)).count(), ENTRIES_MAX);
        assert_eq!(entries(None).count(), 0);
    }
}
