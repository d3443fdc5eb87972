//! Hand-written histories, and random ones compared with all possible orders.

use proptest::prelude::*;

use super::{Direction::*, *};

/// A change: its direction, its beginning, and its end if it was answered.
type Span = (Direction, Moment, Option<Moment>);

fn history(changes: &[Span]) -> (History, Condition, Vec<ChangeId>) {
    let mut history = History::default();
    let condition = history.condition();
    let ids = changes
        .iter()
        .map(|(direction, begin, end)| {
            let id = history.begin((*direction, "change", "A"), &[condition], *begin);
            history.end(id, end.map_or(Outcome::Open, Outcome::Done));
            id
        })
        .collect();
    (history, condition, ids)
}

fn judge(changes: &[Span], verification: (Moment, Moment)) -> Must {
    let (history, condition, _) = history(changes);
    history.judge(&[condition], verification, 0)
}

fn refuses(changes: &[Span], verification: (Moment, Moment)) -> bool {
    matches!(judge(changes, verification), Must::Refuse(_))
}

const CREATED: Span = (Widen, 0, Some(10));

#[test]
fn verification_after_an_acknowledged_revoke_must_be_refused() {
    assert!(refuses(&[CREATED, (Narrow, 20, Some(30))], (31, 40)));
}

#[test]
fn verification_that_began_before_the_response_may_go_either_way() {
    let revoked = [CREATED, (Narrow, 20, Some(30))];
    for verification in [(15, 25), (25, 28), (25, 90), (30, 31)] {
        assert_eq!(judge(&revoked, verification), Must::Either, "{verification:?}");
    }
    assert_eq!(judge(&revoked, (15, 19)), Must::Accept);
}

#[test]
fn unanswered_revoke_requires_nothing() {
    let unknown = [CREATED, (Narrow, 20, None)];
    assert_eq!(judge(&unknown, (15, 19)), Must::Accept);
    assert_eq!(judge(&unknown, (1_000, 1_001)), Must::Either);
    // After a retry that was answered, it must.
    assert!(refuses(&[CREATED, (Narrow, 20, None), (Narrow, 40, Some(50))], (51, 52)));
}

#[test]
fn first_response_of_two_equal_revokes_counts() {
    let twins = [CREATED, (Narrow, 20, Some(100)), (Narrow, 25, Some(30))];
    assert!(refuses(&twins, (31, 40)));
}

#[test]
fn started_widening_allows_either_verdict_and_its_response_settles_it() {
    let toggled = [CREATED, (Narrow, 20, Some(30)), (Widen, 50, Some(60))];
    assert!(refuses(&toggled, (31, 49)));
    assert_eq!(judge(&toggled, (31, 50)), Must::Either);
    assert_eq!(judge(&toggled, (55, 58)), Must::Either);
    assert_eq!(judge(&toggled, (61, 70)), Must::Accept);
}

#[test]
fn concurrent_widening_may_have_come_after_the_revoke() {
    assert_eq!(judge(&[(Widen, 25, Some(40)), (Narrow, 20, Some(30))], (50, 60)), Must::Either);
    // A change with an unknown outcome may take effect at any time.
    assert_eq!(judge(&[(Widen, 5, None), (Narrow, 20, Some(30))], (50, 60)), Must::Either);
}

#[test]
fn refused_change_changes_nothing() {
    let (mut history, condition, _) = history(&[CREATED]);
    let id = history.begin((Narrow, "delete", "A"), &[condition], 20);
    history.end(id, Outcome::Void);
    assert_eq!(history.judge(&[condition], (30, 40), 0), Must::Accept);
}

#[test]
fn one_unmet_condition_refuses_and_all_must_be_met_to_accept() {
    let mut history = History::default();
    let (alive, enabled) = (history.condition(), history.condition());
    let create = history.begin((Widen, "create", "A"), &[alive, enabled], 0);
    history.end(create, Outcome::Done(10));
    assert_eq!(history.judge(&[alive, enabled], (11, 12), 0), Must::Accept);
    let delete = history.begin((Narrow, "delete", "B"), &[alive], 20);
    assert_eq!(history.judge(&[alive, enabled], (21, 22), 0), Must::Either);
    history.end(delete, Outcome::Done(30));
    assert_eq!(history.judge(&[enabled, alive], (31, 32), 0), Must::Refuse(delete));
    assert_eq!(history.judge(&[enabled], (31, 32), 0), Must::Accept);
    let nothing_known = history.condition();
    assert_eq!(history.judge(&[enabled, nothing_known], (31, 32), 0), Must::Either);
}

#[test]
fn widened_token_may_be_unknown_until_the_change_has_settled() {
    let (history, condition, _) = history(&[CREATED]);
    assert_eq!(history.judge(&[condition], (50, 60), 40), Must::Either);
    assert_eq!(history.judge(&[condition], (51, 60), 40), Must::Accept);
}

/// A replica that keeps stale facts for too long, and is queried repeatedly.
#[test]
fn replica_with_a_stale_window_is_found_and_a_correct_one_passes() {
    for (window, expected) in [(0, 0), (1, 0), (300, 14), (301, 15)] {
        let (history, condition, _) = history(&[CREATED, (Narrow, 1_000, Some(1_005))]);
        let stale = (900..3_000).step_by(20).filter(|begin| {
            // It answers immediately, from the state `window` ago. The delete took effect at 1,001.
            let accepts = begin + 1 < 1_001 + window;
            let must = history.judge(&[condition], (*begin, begin + 1), 0);
            accepts && matches!(must, Must::Refuse(_))
        });
        assert_eq!(stale.count(), expected, "window {window}");
    }
}

/// Returns whether the condition can hold, and whether it can fail to hold, for the verification.
/// Tries all orders.
fn possible(changes: &[Span], (begin, end): (Moment, Moment)) -> (bool, bool) {
    let mut found = (false, false);
    // The verification is the last of the events.
    let events: Vec<(Moment, Moment)> = changes
        .iter()
        .map(|(_, begin, end)| (*begin, end.unwrap_or(Moment::MAX)))
        .chain([(begin, end)])
        .collect();
    extend(changes, &events, &mut Vec::new(), &mut found);
    found
}

/// Visits all orders in which an event that ended before another began comes first.
fn extend(
    changes: &[Span],
    events: &[(Moment, Moment)],
    order: &mut Vec<usize>,
    found: &mut (bool, bool),
) {
    let verification = changes.len();
    if order.last() == Some(&verification) {
        match order.iter().rev().skip(1).map(|index| changes[*index].0).next() {
            Some(Widen) => found.0 = true,
            Some(Narrow) => found.1 = true,
            // The state before the first change is unknown.
            None => *found = (true, true),
        }
        return;
    }
    for next in (0..events.len()).filter(|next| !order.contains(next)).collect::<Vec<_>>() {
        let mut waits = (0..events.len())
            .filter(|other| !order.contains(other) && *other != next)
            .map(|other| events[other].1);
        if waits.all(|end| end >= events[next].0) {
            order.push(next);
            extend(changes, events, order, found);
            order.pop();
        }
    }
}

fn span() -> impl Strategy<Value = Span> {
    (any::<bool>(), 0..30_u64, prop::option::weighted(0.8, 0..12_u64)).prop_map(
        |(narrow, begin, length)| {
            (if narrow { Narrow } else { Widen }, begin, length.map(|length| begin + length))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn judgement_matches_all_possible_orders(
        changes in prop::collection::vec(span(), 0..6),
        begin in 0..45_u64,
        length in 0..6_u64,
    ) {
        let verification = (begin, begin + length);
        let expected = match possible(&changes, verification) {
            (true, false) => "accept",
            (false, true) => "refuse",
            _ => "either",
        };
        let judged = match judge(&changes, verification) {
            Must::Accept => "accept",
            Must::Refuse(_) => "refuse",
            Must::Either => "either",
        };
        prop_assert_eq!(judged, expected);
    }
}
