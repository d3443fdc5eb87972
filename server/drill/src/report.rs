//! The report: counts, latencies and findings.

use std::{fmt::Write as _, time::Duration};

use crate::{
    tally::{Disturbance, QUIET, SETTLE, Tally},
    world::World,
};

/// Returns a line about the progress.
pub(crate) fn progress(world: &World) -> String {
    let tally = world.tally.borrow();
    let changes: usize = tally.revokes.values().map(Vec::len).sum();
    format!(
        "{:>5.0} s  {} verifications, {} after a revocation's response; {changes} revocations; {} tokens; \
         {} violations, {} wrongly refused",
        world.began.elapsed().as_secs_f64(),
        decided(&tally),
        tally.after_revoke,
        world.pool.borrow().living(),
        tally.violations,
        tally.wrongly_refused,
    )
}

/// Returns why the run is not a proof, if it is not.
pub(crate) fn failures(world: &World) -> Vec<String> {
    let tally = world.tally.borrow();
    let mut failures = Vec::new();
    let mut fail = |count: u64, what: &str| {
        if count > 0 {
            failures.push(format!("{count} {what}"));
        }
    };
    fail(tally.violations, "verifications that began after a revocation's response were accepted");
    fail(tally.wrongly_refused, "tokens were refused without a reason");
    fail(tally.odd.values().sum(), "unexpected responses to verifications");
    let wanted = world.arguments.after_revoke;
    if tally.after_revoke < wanted {
        failures.push(format!(
            "only {} verifications began after a revocation's response, but {wanted} were required",
            tally.after_revoke
        ));
    }
    let wanted = [Disturbance::Quiet, Disturbance::Elsewhere];
    for disturbance in wanted.into_iter().take(if world.arguments.calm { 1 } else { 2 }) {
        if tally.revokes.get(&disturbance).is_none_or(Vec::is_empty) {
            failures.push(format!(
                "no revocation was acknowledged under this disturbance: {disturbance:?}"
            ));
        }
    }
    failures
}

/// Returns the whole report.
pub(crate) fn text(world: &World, seed: u64) -> String {
    let tally = world.tally.borrow();
    let mut out = String::new();
    let time = world.began.elapsed();
    let _ =
        writeln!(out, "Revocation drill, seed {seed}: three replicas, {:.0} s", time.as_secs_f64());
    counts(&mut out, &tally, time);
    let _ = writeln!(
        out,
        "\nRevocations, from request to response (ms; goal: p99 50 undisturbed, otherwise little \
         more than a lease of 2,000)"
    );
    for (disturbance, label) in [
        (Disturbance::Quiet, "no replica disturbed"),
        (Disturbance::Elsewhere, "another replica disturbed"),
        (Disturbance::Own, "the called replica disturbed"),
        (Disturbance::Command, "by a command (starts a process)"),
    ] {
        let times = tally.revokes.get(&disturbance).cloned().unwrap_or_default();
        let _ = writeln!(out, "  {label:<34} {}", spread(times));
    }
    let _ = writeln!(
        out,
        "\nDatabase unreachable for a replica (ms; goal: little more than 2,000, recovery within \
         1,000)"
    );
    for (label, times) in [
        ("cut or freeze to the first 503", &tally.first_refusals),
        ("cut or freeze to the last accept", &tally.last_accepts),
        ("reachable to the first decision", &tally.recoveries),
    ] {
        let _ = writeln!(out, "  {label:<34} {}", spread(times.clone()));
    }
    let _ = writeln!(out, "\nDisturbances");
    for (name, count) in &tally.disturbances {
        let _ = writeln!(out, "  {name:<34} {count}");
    }
    let _ = writeln!(out, "\nChanges");
    for ((what, how), count) in &tally.changes {
        let _ = writeln!(out, "  {what:<16} {how:<40} {count}");
    }
    for replica in &world.replicas {
        for line in replica.logged_errors() {
            let _ = writeln!(out, "\nlogged by {}: {line}", replica.name);
        }
    }
    for report in &tally.reports {
        let _ = writeln!(out, "\n{report}");
    }
    out
}

fn counts(out: &mut String, tally: &Tally, time: Duration) {
    let share = u128::from(decided(tally)) * 1_000 / time.as_millis().max(1);
    for (count, label) in [
        (decided(tally), "verifications decided"),
        (tally.accepted, "  accepted"),
        (tally.refused, "  refused"),
        (tally.after_revoke, "begun after a revocation's response"),
        (tally.after_revoke_disturbed, "  at a replica that was disturbed or had just been"),
        (tally.after_revoke_late, "  answered more than a second later"),
        (tally.after_revoke_unavailable, "begun after a revocation's response, and answered 503"),
        (tally.certain, "of tokens that were certainly allowed"),
        (tally.unavailable, "answered 503"),
        (tally.unavailable_undisturbed, "  by a replica that was not disturbed"),
        (tally.unavailable_quiet, "  while no replica was disturbed"),
        (tally.unanswered, "not answered (connection lost)"),
        (tally.refused_disturbed, "allowed, but refused by a disturbed replica"),
        (tally.wrongly_refused, "allowed, but refused by an undisturbed replica"),
        (tally.violations, "STALE: accepted after a revocation's response"),
    ] {
        let _ = writeln!(out, "  {count:>10}  {label}");
    }
    for (status, count) in &tally.odd {
        let _ = writeln!(out, "  {count:>10}  answered {status}");
    }
    let _ = writeln!(
        out,
        "  {share} decisions per second. A replica counts as disturbed until {} s after a disturbance;\n  \
         it must have applied a widening change after {} s.",
        QUIET.as_secs(),
        SETTLE.as_secs(),
    );
}

fn decided(tally: &Tally) -> u64 {
    tally.accepted + tally.refused
}

/// Formats the count, median, 99th percentile and maximum.
fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at =
        |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    match (at(50), at(99), times.last()) {
        (Some(median), Some(high), Some(most)) => {
            format!("n {:<6} p50 {median:<9.1} p99 {high:<9.1} most {most:.1}", times.len())
        }
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_covers_all_values() {
        assert_eq!(spread(vec![]), "none");
        let text = spread((1..=200).rev().map(f64::from).collect());
        assert_eq!(text, "n 200    p50 101.0     p99 199.0     most 200.0");
    }
}
