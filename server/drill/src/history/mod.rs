//! The checker: records when changes were made, and decides which results of a verification are
//! right.
//!
//! It is pure: no clock and no I/O. A verification depends on several *conditions* at once: the
//! token is not deleted, it is enabled, it has this scope, this secret is current, its user is
//! enabled, its user is a member. A *change* narrows a condition (it no longer holds) or widens it
//! (it holds). Two moments of a change are known, both by the clock of the one process that sends
//! it: a moment before its request was sent, and a moment after its 2xx was read. It took effect
//! somewhere in between.
//!
//! - A condition is **off** during a verification if it was narrowed by a change that had been
//!   answered before the verification began, and no widening change can have taken effect after
//!   that: each one that ended after the narrowing change began has itself begun after the
//!   verification ended.
//! - It is **on** if it was widened by a change that had been answered at least `settle` before,
//!   and no narrowing change can have taken effect after that.
//! - Otherwise either result is right.
//!
//! A change without a 2xx (503, a reset, no response) may take effect at any moment from its
//! beginning on, or never: it never counts as answered, and it makes the other direction uncertain
//! permanently. This is exact: the checker considers every order of effects that fits the moments,
//! and no other order (a test compares it with all orders).

#[cfg(test)]
mod tests;

/// Nanoseconds since the drill began, on a monotonic clock.
pub(crate) type Moment = u64;

/// A requirement for a token to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition(u32);

/// The ID of a change that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeId(u32);

/// The effect of a change on its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// They no longer hold.
    Narrow,
    /// They hold.
    Widen,
}

/// The known outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No 2xx so far, or never.
    Open,
    /// A 2xx had been read at this moment.
    Done(Moment),
    /// Refused as a whole (4xx), so nothing was changed.
    Void,
}

/// A change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) direction: Direction,
    pub(crate) begin: Moment,
    pub(crate) outcome: Outcome,
    /// A description for people.
    pub(crate) what: &'static str,
    /// The way in which it was made, for people.
    pub(crate) route: &'static str,
}

/// The required result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Must {
    /// An accept is stale, because this change had been answered before.
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
    /// Adds a condition without any known changes.
    pub(crate) fn condition(&mut self) -> Condition {
        let id = Condition(u32::try_from(self.conditions.len()).unwrap_or(u32::MAX));
        self.conditions.push(Vec::new());
        id
    }

    /// Records that the request of a change is about to be sent.
    pub(crate) fn begin(
        &mut self,
        (direction, what, route): (Direction, &'static str, &'static str),
        conditions: &[Condition],
        begin: Moment,
    ) -> ChangeId {
        let id = ChangeId(u32::try_from(self.changes.len()).unwrap_or(u32::MAX));
        self.changes.push(Change { direction, begin, outcome: Outcome::Open, what, route });
        for condition in conditions {
            if let Some(list) = self.conditions.get_mut(condition.0 as usize) {
                list.push(id);
            }
        }
        id
    }

    /// Records the outcome of a change.
    pub(crate) fn end(&mut self, id: ChangeId, outcome: Outcome) {
        if let Some(change) = self.changes.get_mut(id.0 as usize) {
            change.outcome = outcome;
        }
    }

    /// Returns the required result of a verification from `begin` to `end` that depends on all
    /// these conditions. A widening change need not be in force before `settle` has passed.
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

    /// Returns the change in this direction that is certainly the last one in effect, if there is
    /// one.
    ///
    /// Among several changes that were answered in time, it is enough to check the one that began
    /// last: a change that can have taken effect after it can have taken effect after the others,
    /// too.
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

    /// Returns a change.
    pub(crate) fn get(&self, id: ChangeId) -> &Change {
        &self.changes[id.0 as usize]
    }

    /// Returns all changes of these conditions, in the order of their beginning.
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
