//! The results: every verification is judged and counted as soon as it is answered.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use crate::{
    history::{Moment, Must},
    load::{Endpoint, Question},
    replica::Replica,
    world::{SCOPES, World, nanoseconds},
};

/// The lease, and the delay on a busy machine until a widening change is in force everywhere.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);
/// The lease, for which changes wait for a killed replica.
const LEASE: Duration = Duration::from_secs(2);
/// How long a replica may need to reconnect.
const AFTERMATH: Duration = Duration::from_millis(500);
/// How long after its last disturbance a replica must work normally.
pub(crate) const QUIET: Duration = Duration::from_secs(4);
/// The number of verifications kept for the report of a violation.
const RECENT: usize = 200_000;
/// The number of violations reported in full.
const REPORTS_MAX: usize = 10;

/// The answer to a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accept,
    Refuse(&'static str),
    /// 503: the replica cannot decide.
    Unavailable,
    /// A response that does not answer a verification.
    Odd(u16),
    /// No response: the connection was lost.
    None,
}

/// A completed verification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification {
    pub(crate) question: Question,
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
    pub(crate) answer: Answer,
}

/// The disturbances during a change, by which its duration is grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disturbance {
    /// No replica was disturbed.
    Quiet,
    /// Other replicas were disturbed, but not the one that made the change.
    Elsewhere,
    /// The replica that made the change was disturbed.
    Own,
    /// A command made the change, which includes the start of a process.
    Command,
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unavailable: u64,
    pub(crate) unanswered: u64,
    /// Decisions of verifications that began after the response to a revocation.
    pub(crate) after_revoke: u64,
    /// Of these: on a replica that was disturbed, or had been recently.
    pub(crate) after_revoke_disturbed: u64,
    /// Of these: answered more than a second after they had begun.
    pub(crate) after_revoke_late: u64,
    /// 503 responses instead of a decision after the response to a revocation.
    pub(crate) after_revoke_unavailable: u64,
    /// Decisions about tokens that were certainly allowed.
    pub(crate) certain: u64,
    pub(crate) violations: u64,
    pub(crate) wrongly_refused: u64,
    /// Certainly allowed tokens that a disturbed replica refused.
    pub(crate) refused_disturbed: u64,
    /// 503 responses of an undisturbed replica, and while no replica was disturbed.
    pub(crate) unavailable_undisturbed: u64,
    pub(crate) unavailable_quiet: u64,
    pub(crate) odd: BTreeMap<u16, u64>,
    pub(crate) reports: Vec<String>,
    recent: VecDeque<Verification>,
    /// The milliseconds of each answered narrowing change.
    pub(crate) revokes: BTreeMap<Disturbance, Vec<f64>>,
    /// The results of changes: (change, result) and their number.
    pub(crate) changes: BTreeMap<(&'static str, String), u64>,
    pub(crate) disturbances: BTreeMap<&'static str, u64>,
    /// While the database was away: milliseconds until the first 503, and until the last accept.
    pub(crate) first_refusals: Vec<f64>,
    pub(crate) last_accepts: Vec<f64>,
    /// After it was back: milliseconds until the first decision.
    pub(crate) recoveries: Vec<f64>,
}

impl World {
    /// Judges and counts a verification.
    pub(crate) fn record(&self, verification: Verification) {
        let Verification { question, begin, end, answer } = verification;
        let replica = &self.replicas[question.replica];
        note_database(replica, &verification, self);
        let conditions = self.conditions(question);
        let must = self.history.borrow().judge(&conditions, (begin, end), nanoseconds(SETTLE));
        let undisturbed = replica.trouble.quiet_since(begin, nanoseconds(QUIET));
        let mut tally = self.tally.borrow_mut();
        let tally = &mut *tally;
        tally.remember(verification);
        match answer {
            Answer::Accept => tally.accepted += 1,
            Answer::Refuse(_) => tally.refused += 1,
            Answer::Unavailable => {
                tally.unavailable += 1;
                tally.unavailable_undisturbed += u64::from(undisturbed);
                tally.unavailable_quiet += u64::from(self.all_quiet(begin, QUIET));
            }
            Answer::Odd(status) => *tally.odd.entry(status).or_default() += 1,
            Answer::None => tally.unanswered += 1,
        }
        let decided = matches!(answer, Answer::Accept | Answer::Refuse(_));
        match must {
            Must::Refuse(_) if decided => {
                tally.after_revoke += 1;
                tally.after_revoke_disturbed += u64::from(!undisturbed);
                tally.after_revoke_late += u64::from(end - begin > 1_000_000_000);
                if answer == Answer::Accept {
                    tally.violations += 1;
                    self.keep_for_report(tally, "VIOLATION", &verification, must);
                }
            }
            Must::Refuse(_) => {
                tally.after_revoke_unavailable += u64::from(answer == Answer::Unavailable);
            }
            Must::Accept if decided => {
                tally.certain += 1;
                match answer {
                    Answer::Accept => {}
                    _ if undisturbed => {
                        tally.wrongly_refused += 1;
                        self.keep_for_report(tally, "WRONGLY REFUSED", &verification, must);
                    }
                    _ => tally.refused_disturbed += 1,
                }
            }
            Must::Accept | Must::Either => {}
        }
    }

    fn conditions(&self, question: Question) -> [crate::history::Condition; 6] {
        let pool = self.pool.borrow();
        let secret = &pool.secrets[question.secret];
        let [alive, enabled, current, user, member] = secret.conditions;
        [alive, enabled, current, user, member, secret.scopes[question.scope]]
    }

    /// Keeps the token's history for the report.
    fn keep_for_report(
        &self,
        tally: &mut Tally,
        title: &str,
        verification: &Verification,
        must: Must,
    ) {
        if tally.reports.len() >= REPORTS_MAX {
            return;
        }
        let history = self.history.borrow();
        let question = verification.question;
        let mut text = format!("{title}: {}\n", self.line(verification));
        if let Must::Refuse(change) = must {
            let change = history.get(change);
            let _ = writeln!(
                text,
                "  although this change was acknowledged before: {} by {}",
                change.what, change.route
            );
        }
        let _ = writeln!(
            text,
            "  replica disturbed now: {}",
            self.replicas[question.replica].trouble.is_disturbed()
        );
        for change in history.changes(&self.conditions(question)) {
            let end = match change.outcome {
                crate::history::Outcome::Open => "not answered".to_owned(),
                crate::history::Outcome::Done(end) => format!("answered {:.6} s", seconds(end)),
                crate::history::Outcome::Void => "refused".to_owned(),
            };
            let _ = writeln!(
                text,
                "  change: begun {:.6} s, {end}: {} by {}",
                seconds(change.begin),
                change.what,
                change.route
            );
        }
        let of = tally.recent.iter().filter(|other| other.question.secret == question.secret);
        let all: Vec<_> = of.collect();
        for other in all.iter().rev().take(40).rev() {
            let _ = writeln!(text, "  asked: {}", self.line(other));
        }
        tally.reports.push(text);
    }

    fn line(&self, verification: &Verification) -> String {
        let Verification { question, begin, end, answer } = *verification;
        let endpoint = match question.endpoint {
            Endpoint::Verify => "verify",
            Endpoint::Forward => "forward",
        };
        format!(
            "{:.6}–{:.6} s at {} secret {} for {} through {endpoint}: {answer:?}",
            seconds(begin),
            seconds(end),
            self.replicas[question.replica].name,
            question.secret,
            SCOPES[question.scope],
        )
    }

    /// Returns the disturbances during a change that began at this moment, on a replica or with a
    /// command.
    pub(crate) fn disturbance(&self, begin: Moment, replica: Option<usize>) -> Disturbance {
        match replica {
            None => Disturbance::Command,
            Some(_) if self.all_quiet(begin, LEASE) => Disturbance::Quiet,
            Some(own) if self.replicas[own].trouble.quiet_since(begin, nanoseconds(AFTERMATH)) => {
                Disturbance::Elsewhere
            }
            Some(_) => Disturbance::Own,
        }
    }
}

impl Tally {
    fn remember(&mut self, verification: Verification) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(verification);
    }

    /// Counts the result of a change.
    pub(crate) fn change(&mut self, what: &'static str, how: impl Into<String>) {
        *self.changes.entry((what, how.into())).or_default() += 1;
    }
}

/// Records a replica's answers while its database is away, and after it is back.
fn note_database(replica: &Replica, verification: &Verification, world: &World) {
    let Verification { begin, end, answer, .. } = *verification;
    let decided = matches!(answer, Answer::Accept | Answer::Refuse(_));
    if let Some(mut away) = replica.trouble.away.get()
        && begin > away.since
    {
        if answer == Answer::Accept {
            away.last_accept = away.last_accept.max(Some(begin));
        }
        if answer == Answer::Unavailable && away.first_refusal.is_none() {
            away.first_refusal = Some(end);
        }
        replica.trouble.away.set(Some(away));
    }
    if let Some(back) = replica.trouble.back.get()
        && decided
        && begin >= back
    {
        replica.trouble.back.set(None);
        world.tally.borrow_mut().recoveries.push(millis(end - back));
    }
}

pub(crate) fn seconds(moment: Moment) -> f64 {
    Duration::from_nanos(moment).as_secs_f64()
}

pub(crate) fn millis(moment: Moment) -> f64 {
    seconds(moment) * 1e3
}
