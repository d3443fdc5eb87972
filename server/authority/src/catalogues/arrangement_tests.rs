//! Tests of the effect of changes to a catalogue.

use domain::catalogue::{Risk, Scope};
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-01-02 00:00 UTC);

fn name(text: &str) -> ScopeName {
    text.parse().unwrap()
}

fn stored(text: &str, group: &str, implies: &[&str]) -> StoredScope {
    StoredScope {
        scope: Scope {
            name: name(text),
            description: Description::default(),
            risk: Risk::Read,
            implies: implies.iter().map(|text| name(text)).collect(),
        },
        group: group.parse().unwrap(),
        group_description: Description::default(),
        retired_at: None,
    }
}

fn granted(arrangement: &Arrangement, held: &str) -> Vec<String> {
    let held = name(held);
    arrangement.grants().of(&held).into_iter().map(ToString::to_string).collect()
}

fn loses(before: &Arrangement, after: &Arrangement, held: &str) -> bool {
    let held = name(held);
    before.grants().lost(&after.grants(), &held)
}

fn order(arrangement: &Arrangement) -> String {
    let shown =
        |entry: &ScopeEntry| format!("{}/{}{}", entry.group, entry.scope.name, entry.position);
    arrangement.entries().iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn chain() -> Arrangement {
    Arrangement::of(vec![
        stored("a", "A", &["b"]),
        stored("b", "B", &["c"]),
        stored("c", "A", &[]),
        stored("table://my.**", "B", &[]),
    ])
}

#[test]
fn groups_are_contiguous_and_positions_count_within_them() {
    let mut arrangement = chain();
    assert_eq!(order(&arrangement), "A/a0 A/c1 B/b0 B/table://my.**1");
    arrangement.put(stored("d", "A", &[]), Some(1));
    arrangement.put(stored("e", "A", &[]), None);
    arrangement.put(stored("b", "A", &["c"]), Some(99));
    assert_eq!(order(&arrangement), "A/a0 A/d1 A/c2 A/e3 A/b4 B/table://my.**0");
    arrangement.put(stored("b", "A", &["c"]), Some(0));
    assert_eq!(order(&arrangement), "A/b0 A/a1 A/d2 A/c3 A/e4 B/table://my.**0");
}

#[test]
fn retired_scope_grants_nothing_and_implies_nothing() {
    let before = chain();
    let mut after = before.clone();
    after.retire(&name("b"), Some(NOW));
    assert_eq!(granted(&before, "a"), ["a", "b", "c"]);
    assert_eq!(granted(&after, "a"), ["a"]);
    assert!(granted(&after, "b").is_empty());
    assert!(loses(&before, &after, "a") && loses(&before, &after, "b"));
    assert!(!loses(&before, &after, "c") && !loses(&after, &before, "a"));
    assert!(before.grants_otherwise(&after) && after.grants_otherwise(&before));
    assert!(!before.grants_otherwise(&before));
}

#[test]
fn risk_and_new_scopes_change_grants_and_descriptions_do_not() {
    let before = chain();
    let with = |scope: StoredScope| {
        let mut after = before.clone();
        after.put(scope, None);
        after
    };
    let mut riskier = stored("c", "A", &[]);
    riskier.scope.risk = Risk::Write;
    let after = with(riskier);
    assert!(before.grants_otherwise(&after) && after.grants_otherwise(&before));
    assert!(!before.grows(&after));
    for new in [stored("x", "A", &["c"]), stored("table://**", "B", &[])] {
        let after = with(new);
        assert!(before.grows(&after) && !after.grows(&before));
        assert!(!before.grants_otherwise(&after) && after.grants_otherwise(&before));
    }
    assert!(!Arrangement::of(Vec::new()).grows(&before));
    let mut described = stored("c", "A", &[]);
    described.scope.description = "The end.".parse().unwrap();
    let after = with(described);
    assert!(!before.grants_otherwise(&after) && !before.grows(&after));
}

#[test]
fn parts_of_a_pattern_are_retired_with_it() {
    let before = chain();
    let mut after = before.clone();
    after.retire(&name("table://my.**"), Some(NOW));
    assert!(loses(&before, &after, "table://my.app"));
    assert!(!loses(&before, &after, "table://other"));
    after.put(stored("table://**", "B", &[]), None);
    assert!(!loses(&before, &after, "table://my.app"), "a part of another pattern");
    assert!(loses(&before, &after, "table://my.**"), "retired by name");
    assert!(before.belongs(&name("table://my.app"), &name("table://my.**")));
    assert!(!after.belongs(&name("table://my.app"), &name("table://my.**")));
}

#[test]
fn removed_scope_is_forgotten_only_by_retired_scopes() {
    let mut arrangement = chain();
    arrangement.retire(&name("b"), Some(NOW));
    assert_eq!(arrangement.implying(&name("c")), None);
    arrangement.remove(&name("c"));
    assert!(arrangement.check().is_ok());
    arrangement.remove(&name("b"));
    assert!(arrangement.check().is_err(), "a is in use and implies b");
}
