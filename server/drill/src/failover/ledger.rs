//! The checker: decides when a VALID about a token is wrong, although commits may be lost.
//!
//! It is pure: no clock and no I/O. For each token, it keeps the spans of time in which no server
//! may accept the token:
//!
//! - The response to a narrowing change (delete, disable) opens a span. Sending the request of a
//!   widening change (enable) closes it.
//! - After a failover, the new history is the truth. If it accepts a token, the token has no span
//!   from the promotion on: its revocation was lost. If it refuses a token, because its creation or
//!   its "enable" was lost, the token has a span from the moment at which the server has left the
//!   old history. That is when its lease has expired, or when it has returned anything that only
//!   the new history contains, whichever is first.
//!
//! An accept is wrong if it began within a span and ended before the span's end. So a request that
//! was in progress at either end may have either result.

use crate::history::Moment;

/// The number of servers.
pub(crate) const SERVERS: usize = 2;

/// A verification that a server answered with VALID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accept {
    pub(crate) token: usize,
    pub(crate) server: usize,
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
}

/// A span of time in which no server may accept a token.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The start for each server.
    since: [Moment; SERVERS],
    until: Option<Moment>,
    why: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Life {
    spans: Vec<Span>,
    /// The outcome of a widening change is unknown, so it may still take effect.
    is_uncertain: bool,
}

/// The history of all tokens.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    lives: Vec<Life>,
}

impl Ledger {
    /// Adds a token that may be accepted.
    pub(crate) fn add(&mut self) -> usize {
        self.lives.push(Life::default());
        self.lives.len() - 1
    }

    /// Records that a narrowing change was answered.
    pub(crate) fn narrowed(&mut self, token: usize, answered: Moment, why: &'static str) {
        let life = &mut self.lives[token];
        if life.spans.last().is_none_or(|span| span.until.is_some()) {
            life.spans.push(Span { since: [answered; SERVERS], until: None, why });
        }
    }

    /// Records that the request for a widening change is about to be sent.
    pub(crate) fn widening(&mut self, token: usize, begin: Moment) {
        self.close(token, begin);
    }

    /// Records that the outcome of a widening change is unknown.
    pub(crate) fn uncertain(&mut self, token: usize) {
        self.lives[token].is_uncertain = true;
    }

    /// Records that no server may accept this token for a while, whatever the database contains.
    pub(crate) fn forbid(
        &mut self,
        token: usize,
        (since, until): ([Moment; SERVERS], Moment),
        why: &'static str,
    ) {
        // Inserted first, so that an open span stays the last one.
        self.lives[token].spans.insert(0, Span { since, until: Some(until), why });
    }

    /// Records whether the new history accepts a token. `promoted` is before the new history began;
    /// `left` is when each server has left the old one.
    pub(crate) fn failed_over(
        &mut self,
        token: usize,
        accepts: bool,
        (promoted, left): (Moment, [Moment; SERVERS]),
    ) {
        if accepts {
            // A narrowing change that was answered later belongs to the new history.
            if self.lives[token].spans.last().is_some_and(|span| span.since[0] < promoted) {
                self.close(token, promoted);
            }
        } else if self.lives[token].spans.last().is_none_or(|span| span.until.is_some()) {
            let why = "the new history refuses it";
            self.lives[token].spans.push(Span { since: left, until: None, why });
        }
    }

    /// Returns why this accept is wrong, if it is.
    pub(crate) fn judge(&self, accept: &Accept) -> Option<&'static str> {
        let life = self.lives.get(accept.token)?;
        if life.is_uncertain {
            return None;
        }
        let within = |span: &&Span| {
            accept.begin > span.since[accept.server]
                && span.until.is_none_or(|until| accept.end < until)
        };
        life.spans.iter().find(within).map(|span| span.why)
    }

    fn close(&mut self, token: usize, until: Moment) {
        if let Some(span) = self.lives[token].spans.last_mut() {
            span.until = span.until.or(Some(until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ledger: &Ledger, server: usize, begin: Moment, end: Moment) -> bool {
        ledger.judge(&Accept { token: 0, server, begin, end }).is_some()
    }

    fn one() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.add();
        ledger
    }

    #[test]
    fn accept_is_wrong_after_an_acknowledged_revoke_and_right_during_one() {
        let mut ledger = one();
        ledger.narrowed(0, 10, "deleted");
        assert!(judged(&ledger, 0, 11, 12) && judged(&ledger, 1, 11, 12));
        assert!(!judged(&ledger, 0, 9, 12));
        ledger.widening(0, 20);
        assert!(judged(&ledger, 0, 11, 19));
        assert!(!judged(&ledger, 0, 11, 21) && !judged(&ledger, 0, 21, 22));
    }

    #[test]
    fn ghost_may_be_accepted_until_its_server_has_left_the_old_history() {
        let mut ledger = one();
        ledger.failed_over(0, false, (5, [10, 20]));
        assert!(!judged(&ledger, 0, 9, 11) && judged(&ledger, 0, 11, 12));
        assert!(!judged(&ledger, 1, 11, 12) && judged(&ledger, 1, 21, 22));
    }

    #[test]
    fn lost_revocation_binds_until_the_promotion_and_a_kept_one_permanently() {
        let (mut lost, mut kept) = (one(), one());
        for ledger in [&mut lost, &mut kept] {
            ledger.narrowed(0, 10, "deleted");
        }
        lost.failed_over(0, true, (30, [40, 40]));
        kept.failed_over(0, false, (30, [40, 40]));
        assert!(judged(&lost, 0, 11, 29) && !judged(&lost, 0, 31, 32));
        assert!(judged(&kept, 0, 11, 29) && judged(&kept, 0, 31, 32));
    }

    #[test]
    fn accept_is_right_while_a_widening_may_still_take_effect() {
        let mut ledger = one();
        ledger.narrowed(0, 10, "disabled");
        ledger.uncertain(0);
        assert!(!judged(&ledger, 0, 11, 12));
    }

    #[test]
    fn no_accept_is_right_while_a_server_must_be_silent() {
        let mut ledger = one();
        ledger.forbid(0, ([10, Moment::MAX], 50), "no lease");
        assert!(judged(&ledger, 0, 11, 49) && !judged(&ledger, 0, 51, 52));
        assert!(!judged(&ledger, 1, 11, 49));
        ledger.narrowed(0, 60, "deleted");
        assert!(judged(&ledger, 1, 61, 62));
    }
}
