//! The negative control of the checker itself: a cache in front of replica A that ignores
//! revocations, as a gateway may have one.

use std::collections::HashMap;

use crate::{
    history::Moment,
    load::Question,
    tally::{Answer, Verification},
};

const KEPT_NS: Moment = 300_000_000;

/// Keeps accepts for 300 ms.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    on: bool,
    answers: HashMap<Question, (Moment, Answer)>,
}

impl Stale {
    pub(crate) fn new(on: bool) -> Self {
        Self { on, answers: HashMap::new() }
    }

    pub(crate) fn find(&self, question: &Question, now: Moment) -> Option<Answer> {
        let (since, answer) = self.answers.get(question)?;
        (now < since + KEPT_NS).then_some(*answer)
    }

    pub(crate) fn keep(&mut self, question: &Question, verification: &Verification) {
        if self.on && question.replica == 0 && verification.answer == Answer::Accept {
            self.answers.insert(*question, (verification.end, verification.answer));
        }
    }
}
