//! Sessions that this server has seen, so that finding them again doesn't count against the limit
//! of unknown callers.
//!
//! A cookie may contain any text. Each lookup of such a text counts against the address that it
//! came from, as for an unknown token ([`crate::facts`]), until it turns out to be a
//! session. So a browser whose session was found before must not depend on what other callers at
//! its address present.
//!
//! The digests don't replace the lookup: the session is read from the database every time, on
//! behalf of the person that it belonged to, so that it doesn't wait behind other callers'
//! requests. A digest that is no longer found is dropped.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use domain::ids::UserId;

/// The number of sessions to keep. Beyond it, the less recently seen half is dropped.
const KEPT: usize = 16 * 1_024;

/// The digests of seen sessions.
#[derive(Debug, Default)]
pub(crate) struct MetSessions(Mutex<Digests>);

#[derive(Debug, Default)]
struct Digests {
    late: HashMap<[u8; 32], UserId>,
    early: HashMap<[u8; 32], UserId>,
}

impl MetSessions {
    /// Records a session that exists.
    pub(crate) fn note(&self, digest: [u8; 32], user: UserId) {
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.early.remove(&digest);
        digests.late.insert(digest, user);
        if digests.late.len() >= KEPT / 2 {
            digests.early = std::mem::take(&mut digests.late);
        }
    }

    /// Returns the person of this session, if it existed when it was last seen.
    pub(crate) fn person(&self, digest: &[u8; 32]) -> Option<UserId> {
        let digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.late.get(digest).or_else(|| digests.early.get(digest)).copied()
    }

    /// Drops a session that has ended.
    pub(crate) fn forget(&self, digest: &[u8; 32]) {
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.late.remove(digest);
        digests.early.remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    fn person(number: usize) -> UserId {
        UserId(uuid::Uuid::from_u128(number as u128))
    }

    #[test]
    fn recently_met_sessions_are_kept_and_memory_is_bounded() {
        let met = MetSessions::default();
        for number in 0..3 * KEPT {
            met.note(digest(number), person(number));
            met.note(digest(0), person(0));
        }
        assert_eq!(met.person(&digest(0)), Some(person(0)));
        assert_eq!(met.person(&digest(3 * KEPT - 1)), Some(person(3 * KEPT - 1)));
        assert_eq!(met.person(&digest(1)), None);
        met.forget(&digest(0));
        assert_eq!(met.person(&digest(0)), None);
        let digests = met.0.lock().unwrap();
        assert!(digests.late.len() + digests.early.len() <= KEPT);
    }
}
