//! Renders every metric.

use authority::{Histogram, Observation};

use super::{
    Traffic,
    text::{Kind, Text},
};

/// Renders the whole text. `started_s` is in seconds since 1970, `resident` in bytes.
pub(super) fn render(
    seen: &Observation,
    traffic: &Traffic,
    started_s: i64,
    resident: Option<u64>,
) -> String {
    let mut text = Text::default();
    build(&mut text);
    verifications(&mut text, seen);
    unknown(&mut text, seen);
    lease(&mut text, seen);
    text.one(
        "tessera_usage_queue_tokens",
        Kind::Gauge,
        "Tokens whose uses have not been written yet.",
        seen.usage_queue,
    );
    text.one(
        "tessera_usage_dropped_total",
        Kind::Counter,
        "Uses that were not recorded, because the queue was full.",
        seen.usage_dropped,
    );
    text.one(
        "tessera_password_checks_total",
        Kind::Counter,
        "Passwords that were hashed to check a sign-in, correct or not.",
        seen.snapshot.password_checks,
    );
    text.one(
        "tessera_sign_ins_throttled_total",
        Kind::Counter,
        "Sign-in attempts that were refused without a check, because there were too many.",
        seen.snapshot.sign_ins_throttled,
    );
    let connections = "tessera_database_connections";
    text.family(connections, Kind::Gauge, "Connections to the database.");
    text.sample(connections, &[("state", "idle")], seen.pool.idle);
    text.sample(connections, &[("state", "used")], seen.pool.used);
    let requests = "tessera_http_requests_total";
    text.family(requests, Kind::Counter, "Requests to the managing API, by status class.");
    for (class, count) in traffic.counts() {
        text.sample(requests, &[("status", class)], count);
    }
    text.one(
        "process_start_time_seconds",
        Kind::Gauge,
        "Start time of the process, in seconds since 1970.",
        started_s,
    );
    if let Some(resident) = resident {
        text.one("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", resident);
    }
    text.finish()
}

fn build(text: &mut Text) {
    let name = "tessera_build_info";
    text.family(name, Kind::Gauge, "Always 1; the label names the running build.");
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn verifications(text: &mut Text, seen: &Observation) {
    let name = "tessera_verifications_total";
    text.family(name, Kind::Counter, "Verifications, by result code.");
    for (code, count) in &seen.snapshot.verifications {
        text.sample(name, &[("code", code.as_str())], count);
    }
    text.one(
        "tessera_cache_hits_total",
        Kind::Counter,
        "Verifications whose facts were in the cache.",
        seen.snapshot.cache_hits,
    );
    text.one(
        "tessera_cache_misses_total",
        Kind::Counter,
        "Verifications whose facts were read from the database.",
        seen.snapshot.cache_misses,
    );
    text.one(
        "tessera_cache_entries",
        Kind::Gauge,
        "Tokens whose facts are in the cache.",
        seen.cache_entries,
    );
}

fn unknown(text: &mut Text, seen: &Observation) {
    text.one(
        "tessera_unknown_tokens_refused_total",
        Kind::Counter,
        "Tokens that were not looked up, because too many earlier tokens from the same address \
         were unknown.",
        seen.unknown_refused,
    );
}

fn lease(text: &mut Text, seen: &Observation) {
    if let Some(age) = seen.lease_age {
        text.one(
            "tessera_lease_age_seconds",
            Kind::Gauge,
            "Time since this server's lease was last renewed.",
            age.as_secs_f64(),
        );
    }
    text.one(
        "tessera_lease_valid",
        Kind::Gauge,
        "1 if this server has a lease and may answer verifications; 0 if it answers 503, or from \
         memory within stale_grace.",
        u8::from(seen.lease_valid),
    );
    let help = "Time from the commit of a change that narrows access until every server has applied it \
                or its lease has expired.";
    histogram(text, "tessera_revocation_seconds", help, &seen.snapshot.revocations);
}

fn histogram(text: &mut Text, name: &str, help: &str, histogram: &Histogram) {
    text.family(name, Kind::Histogram, help);
    let bucket = format!("{name}_bucket");
    for (bound, total) in &histogram.buckets {
        text.sample(&bucket, &[("le", &bound.as_secs_f64().to_string())], total);
    }
    text.sample(&bucket, &[("le", "+Inf")], histogram.count);
    text.sample(&format!("{name}_sum"), &[], histogram.sum.as_secs_f64());
    text.sample(&format!("{name}_count"), &[], histogram.count);
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use authority::{PoolState, Snapshot};
    use domain::decision::DecisionCode;

    use super::*;

    fn seen() -> Observation {
        let buckets = vec![(Duration::from_millis(1), 2), (Duration::from_secs(5), 3)];
        Observation {
            snapshot: Snapshot {
                verifications: vec![(DecisionCode::Valid, 7), (DecisionCode::NotFound, 1)],
                cache_hits: 5,
                cache_misses: 3,
                password_checks: 21,
                sign_ins_throttled: 22,
                revocations: Histogram { buckets, count: 4, sum: Duration::from_millis(7_250) },
            },
            cache_entries: 9,
            unknown_refused: 13,
            lease_age: Some(Duration::from_millis(250)),
            lease_valid: false,
            usage_queue: 11,
            usage_dropped: 12,
            pool: PoolState { idle: 1, used: 2 },
        }
    }

    #[test]
    fn values_are_rendered_in_their_samples() {
        let text = render(&seen(), &Traffic::default(), 1_700_000_000, Some(4_096));
        for line in [
            "tessera_verifications_total{code=\"VALID\"} 7",
            "tessera_verifications_total{code=\"NOT_FOUND\"} 1",
            "tessera_cache_hits_total 5",
            "tessera_cache_misses_total 3",
            "tessera_cache_entries 9",
            "tessera_password_checks_total 21",
            "tessera_sign_ins_throttled_total 22",
            "tessera_lease_age_seconds 0.25",
            "tessera_lease_valid 0",
            "tessera_revocation_seconds_bucket{le=\"0.001\"} 2",
            "tessera_revocation_seconds_bucket{le=\"5\"} 3",
            "tessera_revocation_seconds_bucket{le=\"+Inf\"} 4",
            "tessera_revocation_seconds_sum 7.25",
            "tessera_revocation_seconds_count 4",
            "tessera_usage_queue_tokens 11",
            "tessera_usage_dropped_total 12",
            "tessera_database_connections{state=\"idle\"} 1",
            "tessera_database_connections{state=\"used\"} 2",
            "tessera_http_requests_total{status=\"2xx\"} 0",
            "process_start_time_seconds 1700000000",
            "process_resident_memory_bytes 4096",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
        let version = format!("tessera_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&version), "{text}");
    }

    #[test]
    fn samples_follow_their_family_which_is_declared_once() {
        let text = render(&seen(), &Traffic::default(), 0, None);
        let mut families = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.'), "{line}");
                name.clone_into(&mut current);
                assert!(families.insert(current.clone(), None).is_none(), "{name} twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, current);
                *families.get_mut(name).unwrap() = Some(kind.to_owned());
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                let suffix = name.strip_prefix(&current).unwrap();
                let kind = families[&current].as_deref().unwrap();
                let expected = match kind {
                    "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                    "counter" => suffix.is_empty() && name.ends_with("_total"),
                    _ => suffix.is_empty() && !name.ends_with("_total"),
                };
                assert!(expected, "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(
            !text.contains("process_resident_memory_bytes"),
            "an unknown value is omitted, not reported as 0"
        );
    }
}
