//! What was seen: every verification is judged as soon as it is answered, and counted.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use crate::{
    history::{Moment, Must},
    load::{Door, Question},
    replica::Replica,
    world::{SCOPES, World, nanoseconds},
};

/// The lease, and what a busy machine may add until a widening is known everywhere.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);
/// The lease: so long a replica that was killed is waited for.
const LEASE: Duration = Duration::from_secs(2);
/// What a replica may need to have connections again.
const AFTERMATH: Duration = Duration::from_millis(500);
/// So long after its last disturbance a replica has no excuse.
pub(crate) const QUIET: Duration = Duration::from_secs(4);
/// Verifications that are remembered for the report of a violation.
const RECENT: usize = 200_000;
/// Violations that are told in full.
const TOLD: usize = 10;

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accept,
    Refuse(&'static str),
    /// 503: it cannot decide.
    Unavailable,
    /// Something that is no answer to a verification.
    Odd(u16),
    /// None: the connection was lost.
    None,
}

/// A verification that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification {
    pub(crate) question: Question,
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
    pub(crate) answer: Answer,
}

/// How long a change took, by what went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weather {
    /// No replica was disturbed.
    Quiet,
    /// Others were, the one that made the change was not.
    Elsewhere,
    /// The one that made the change was.
    Own,
    /// Made by a command, which is a process that starts.
    Command,
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unavailable: u64,
    pub(crate) unanswered: u64,
    /// Decisions of verifications that began after a revoke's answer.
    pub(crate) after_revoke: u64,
    /// Of these: at a replica that was disturbed, or had been a short time before.
    pub(crate) after_revoke_disturbed: u64,
    /// Of these: answered by a replica later than a second after they had begun.
    pub(crate) after_revoke_late: u64,
    /// Refusals instead of a decision after a revoke's answer (503).
    pub(crate) after_revoke_unavailable: u64,
    /// Decisions about tokens that certainly were allowed.
    pub(crate) certain: u64,
    pub(crate) violations: u64,
    pub(crate) wrongly_refused: u64,
    /// Of certainly allowed tokens, by a disturbed replica.
    pub(crate) refused_disturbed: u64,
    /// 503 by a replica that was not disturbed; while nobody was.
    pub(crate) unavailable_undisturbed: u64,
    pub(crate) unavailable_quiet: u64,
    pub(crate) odd: BTreeMap<u16, u64>,
    pub(crate) told: Vec<String>,
    recent: VecDeque<Verification>,
    /// Answered narrowing changes: milliseconds.
    pub(crate) revokes: BTreeMap<Weather, Vec<f64>>,
    /// What became of changes: (what, how), how often.
    pub(crate) changes: BTreeMap<(&'static str, String), u64>,
    pub(crate) disturbances: BTreeMap<&'static str, u64>,
    /// While the database was away: milliseconds until the first 503, and to the last accept.
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
                    self.tell(tally, "VIOLATION", &verification, must);
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
                        self.tell(tally, "WRONGLY REFUSED", &verification, must);
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

    /// Keeps the history of the token in words.
    fn tell(&self, tally: &mut Tally, title: &str, verification: &Verification, must: Must) {
        if tally.told.len() >= TOLD {
            return;
        }
        let history = self.history.borrow();
        let question = verification.question;
        let mut text = format!("{title}: {}\n", self.line(verification));
        if let Must::Refuse(change) = must {
            let change = history.get(change);
            let _ = writeln!(
                text,
                "  although this was answered before: {} by {}",
                change.what, change.door
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
                change.door
            );
        }
        let of = tally.recent.iter().filter(|other| other.question.secret == question.secret);
        let all: Vec<_> = of.collect();
        for other in all.iter().rev().take(40).rev() {
            let _ = writeln!(text, "  asked: {}", self.line(other));
        }
        tally.told.push(text);
    }

    fn line(&self, verification: &Verification) -> String {
        let Verification { question, begin, end, answer } = *verification;
        let door = match question.door {
            Door::Verify => "verify",
            Door::Forward => "forward",
        };
        format!(
            "{:.6}–{:.6} s at {} secret {} for {} by {door}: {answer:?}",
            seconds(begin),
            seconds(end),
            self.replicas[question.replica].name,
            question.secret,
            SCOPES[question.scope],
        )
    }

    /// How things are for a change that began at this moment, by a replica or a command.
    pub(crate) fn weather(&self, begin: Moment, replica: Option<usize>) -> Weather {
        match replica {
            None => Weather::Command,
            Some(_) if self.all_quiet(begin, LEASE) => Weather::Quiet,
            Some(own) if self.replicas[own].trouble.quiet_since(begin, nanoseconds(AFTERMATH)) => {
                Weather::Elsewhere
            }
            Some(_) => Weather::Own,
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

    /// Counts what became of a change.
    pub(crate) fn change(&mut self, what: &'static str, how: impl Into<String>) {
        *self.changes.entry((what, how.into())).or_default() += 1;
    }
}

/// Notes what a replica does while its database is away, and when it is back.
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
