//! Sessions that this server has met, so that finding them again takes nothing from a stranger's budget.
//!
//! A cookie may hold any text. Each text that is looked up counts against the address that it came from, as an
//! unknown token does ([`crate::verification`]), until it turns out to be a session. So a browser whose session
//! was found before must not depend on what others at its address present.
//!
//! The digests that are kept answer nothing: the session is read from the database every time. A digest that is found no
//! more is forgotten.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Sessions after which those that were not met for longest are forgotten, half of them at a time.
const KEPT: usize = 16 * 1_024;

/// Digests of sessions.
#[derive(Debug, Default)]
pub(crate) struct MetSessions(Mutex<Digests>);

#[derive(Debug, Default)]
struct Digests {
    late: HashSet<[u8; 32]>,
    early: HashSet<[u8; 32]>,
}

impl MetSessions {
    /// Notes a session that exists.
    pub(crate) fn note(&self, digest: [u8; 32]) {
        let mut digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.early.remove(&digest);
        digests.late.insert(digest);
        if digests.late.len() >= KEPT / 2 {
            digests.early = std::mem::take(&mut digests.late);
        }
    }

    /// Whether this session existed when it was met.
    pub(super) fn has(&self, digest: &[u8; 32]) -> bool {
        let digests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digests.late.contains(digest) || digests.early.contains(digest)
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

    #[test]
    fn sessions_that_were_met_of_late_are_kept_and_memory_is_bounded() {
        let met = MetSessions::default();
        for number in 0..3 * KEPT {
            met.note(digest(number));
            met.note(digest(0));
        }
        assert!(met.has(&digest(0)) && met.has(&digest(3 * KEPT - 1)) && !met.has(&digest(1)));
        met.forget(&digest(0));
        assert!(!met.has(&digest(0)));
        let digests = met.0.lock().unwrap();
        assert!(digests.late.len() + digests.early.len() <= KEPT);
    }
}
