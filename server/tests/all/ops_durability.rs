//! Database settings that can lose answered changes: the log at the start and `tessera doctor` name
//! each, with what to do.

use crate::support::Cluster;

/// The setting to change, and the beginning of the warning.
const WARNINGS: [(&str, &str); 4] = [
    ("fsync", "fsync is off: "),
    ("full_page_writes", "full_page_writes is off: "),
    ("synchronous_commit", "synchronous_commit is off: "),
    ("standbys", "synchronous_commit does not wait for the standbys"),
];

/// Settings of a cluster, and the warnings that they cause.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str]);

/// Starts a server on this cluster. Returns its log and doctor's line about failover.
fn warnings(cluster: &Cluster) -> (String, String) {
    let server = cluster.guest(&cluster.url()).start();
    let doctor = server.run(&["doctor"]);
    (server.stderr(), doctor.stdout)
}

#[test]
fn database_that_may_lose_acknowledged_changes_causes_a_warning_with_the_remedy() {
    let mut cluster = Cluster::new();
    let cases: [Case; 5] = [
        (&[], &[]),
        (&[("fsync", "off")], &["fsync"]),
        (&[("full_page_writes", "off")], &["full_page_writes"]),
        (
            &[("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")],
            &["fsync", "full_page_writes", "synchronous_commit"],
        ),
        (
            &[("synchronous_commit", "local"), ("synchronous_standby_names", "nobody")],
            &["standbys"],
        ),
    ];
    for (settings, expected) in cases {
        cluster.start(settings);
        let (log, doctor) = warnings(&cluster);
        for (name, warning) in WARNINGS {
            let of_start = log.lines().find(|line| line.contains(warning));
            let of_doctor = doctor
                .lines()
                .find(|line| line.starts_with("warn  failover") && line.contains(warning));
            for line in [of_start, of_doctor] {
                assert_eq!(line.is_some(), expected.contains(&name), "{settings:?}: {log}{doctor}");
                assert!(line.is_none_or(|line| line.contains("set it to on")), "{line:?}");
            }
        }
        let calm = doctor.lines().any(|line| line.starts_with("ok    failover"));
        assert_eq!(calm, expected.is_empty(), "{settings:?}: {doctor}");
    }
}
