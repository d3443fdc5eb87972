//! The checker: what has been changed when, and what a verification may therefore answer.
//!
//! Pure: no clock, no IO. A verification asks for several *conditions* at once: the token is not
//! deleted, it is enabled, it has this scope, this secret is current, its user is enabled, its user
//! is a member. A *change* narrows a condition (it holds no longer) or widens it (it holds). Of a
//! change two moments are known, both by the clock of the one process that asks: a moment before its
//! request was sent and one after its 2xx had been read. It took effect somewhere in between.
//!
//! - A condition is **off** during a verification when it was narrowed by a change that had been
//!   answered before the verification began, and no widening can have come after that: none that
//!   ended after the narrowing began has begun before the verification ended.
//! - It is **on** when it was widened by a change that had been answered at least `settle` before, and
//!   no narrowing can have come after that.
//! - Else either answer is right.
//!
//! A change that was not answered with a 2xx (503, a reset, no answer) may take effect at any moment
//! from its begin on, or never: it never counts as answered, and it makes the other direction uncertain
//! for good. This is exact: whatever order of effects fits the moments is thought possible, and
//! nothing else (a test compares with all orders).

#[cfg(test)]
mod tests;

/// Nanoseconds since the drill began, on a monotonic clock.
pub(crate) type Moment = u64;

/// Something that must hold for a token to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition(u32);

/// A change that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeId(u32);

/// What a change does to its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// They hold no longer.
    Narrow,
    /// They hold.
    Widen,
}

/// What is known about the end of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No 2xx so far, or never.
    Open,
    /// A 2xx had been read at this moment.
    Done(Moment),
    /// Refused as a whole (4xx): nothing was changed.
    Void,
}

/// A change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) direction: Direction,
    pub(crate) begin: Moment,
    pub(crate) outcome: Outcome,
    /// What it is, for people.
    pub(crate) what: &'static str,
    /// Through whom it was made, for people.
    pub(crate) door: &'static str,
}

/// What a verification has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Must {
    /// An accept is a stale one; this change had been answered before.
    Refuse(ChangeId),
    /// A refusal is wrong.
    Accept,
    /// Both are right.
    Either,
}

/// All changes.
#[derive(Debug, Default)]
pub(crate) struct History {
    changes: Vec<Change>,
    conditions: Vec<Vec<ChangeId>>,
}

impl History {
    /// A condition that nothing is known about.
    pub(crate) fn condition(&mut self) -> Condition {
        let id = Condition(u32::try_from(self.conditions.len()).unwrap_or(u32::MAX));
        self.conditions.push(Vec::new());
        id
    }

    /// Notes that the request of a change is about to be sent.
    pub(crate) fn begin(
        &mut self,
        (direction, what, door): (Direction, &'static str, &'static str),
        conditions: &[Condition],
        begin: Moment,
    ) -> ChangeId {
        let id = ChangeId(u32::try_from(self.changes.len()).unwrap_or(u32::MAX));
        self.changes.push(Change { direction, begin, outcome: Outcome::Open, what, door });
        for condition in conditions {
            if let Some(list) = self.conditions.get_mut(condition.0 as usize) {
                list.push(id);
            }
        }
        id
    }

    /// Notes how a change has ended.
    pub(crate) fn end(&mut self, id: ChangeId, outcome: Outcome) {
        if let Some(change) = self.changes.get_mut(id.0 as usize) {
            change.outcome = outcome;
        }
    }

    /// What a verification from `begin` to `end` that asks for all these conditions must answer; what
    /// was widened need not be known before `settle` has passed.
    pub(crate) fn judge(
        &self,
        conditions: &[Condition],
        (begin, end): (Moment, Moment),
        settle: Moment,
    ) -> Must {
        let mut all_on = true;
        for condition in conditions {
            if let Some(change) = self.certain(*condition, Direction::Narrow, (begin, end), 0) {
                return Must::Refuse(change);
            }
            all_on = all_on
                && self.certain(*condition, Direction::Widen, (begin, end), settle).is_some();
        }
        if all_on { Must::Accept } else { Must::Either }
    }

    /// The change in this direction that certainly is the last one in effect, if there is one.
    ///
    /// Of several that were answered in time the one that began last suffices: what can have come
    /// after it can have come after the others, too.
    fn certain(
        &self,
        condition: Condition,
        direction: Direction,
        (begin, end): (Moment, Moment),
        settle: Moment,
    ) -> Option<ChangeId> {
        let changes = self.conditions.get(condition.0 as usize)?;
        let answered = |change: &Change| matches!(change.outcome, Outcome::Done(done) if done.saturating_add(settle) < begin);
        let (last, since) = changes
            .iter()
            .map(|id| (*id, self.get(*id)))
            .filter(|(_, change)| change.direction == direction && answered(change))
            .map(|(id, change)| (id, change.begin))
            .max_by_key(|(_, since)| *since)?;
        let undone = changes.iter().map(|id| self.get(*id)).any(|other| {
            let before = match other.outcome {
                Outcome::Open => false,
                Outcome::Done(done) => done < since,
                Outcome::Void => true,
            };
            other.direction != direction && !before && other.begin <= end
        });
        if undone { None } else { Some(last) }
    }

    /// A change.
    pub(crate) fn get(&self, id: ChangeId) -> &Change {
        &self.changes[id.0 as usize]
    }

    /// All changes of these conditions, in the order of their beginning.
    pub(crate) fn changes(&self, conditions: &[Condition]) -> Vec<&Change> {
        let mut ids: Vec<u32> = conditions
            .iter()
            .filter_map(|condition| self.conditions.get(condition.0 as usize))
            .flatten()
            .map(|id| id.0)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| &self.changes[id as usize]).collect()
    }
}
