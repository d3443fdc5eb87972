//! Sessions that this server has met, so that finding them again takes nothing from a stranger's budget.
//!
//! A cookie may hold any text. Each text that is looked up counts against the address that it came from, as an
//! unknown token does ([`crate::verification`]), until it turns out to be a session. So a browser whose session
//! was found before must not depend on what others at its address present.
//!
//! The digests that are kept answer nothing: the session is read from the database every time, for the person whom it was
//! of, so that it waits for nobody else's requests. A digest that is found no more is forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use domain::ids::UserId;

/// Sessions after which those that were not met for longest are forgotten, half of them at a time.
const KEPT: usize = 16 * 1_024;

/// Digests of sessions.
#[derive(Debug, Default)]
pub(crate) struct MetSessions(Mutex<Digests>);

#[derive(Debug, Default)]
struct Digests {
    late: HashMap<[u8; 32], UserId>,
    early: HashMap<[u8; 32], UserId>,
}

impl MetSessions {
    /// Notes a session that exists.
    pub(crate) fn note(&self, digest: [u8; 32], user: UserId) {
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.early.remove(&digest);
        digests.late.insert(digest, user);
        if digests.late.len() >= KEPT / 2 {
            digests.early = std::mem::take(&mut digests.late);
        }
    }

    /// Returns the person of this session, if it existed when it was met.
    pub(super) fn person(&self, digest: &[u8; 32]) -> Option<UserId> {
        let digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.late.get(digest).or_else(|| digests.early.get(digest)).copied()
    }

    /// Forgets a session that is over.
    pub(super) fn forget(&self, digest: &[u8; 32]) {
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
    fn sessions_that_were_met_of_late_are_kept_and_memory_is_bounded() {
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
