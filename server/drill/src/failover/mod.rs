//! `make drill-failover`: after a failover of the database, no server keeps giving answers that
//! contradict the new history.
//!
//! Two real servers reach a real PostgreSQL through proxies that can switch to another one, as
//! HAProxy or a virtual address would. Each scenario creates a standby or a backup, lets the
//! primary lose or keep commits, promotes the copy, and switches the proxies. All the while, tokens
//! are verified on both servers. When the scenario is over, it reads the database's content, and
//! the pure rules of `ledger` judge every VALID.
//!
//! To add a scenario, add a function in `scenarios` and a row in [`SCENARIOS`].

mod arguments;
mod cluster;
mod ledger;
mod made;
mod scenarios;
mod stage;
mod writers;

use std::{fs, time::Duration};

use tokio::time::Instant;

use crate::{Outcome, say, setup::Folder};
use arguments::{Arguments, Control};
use scenarios::SCENARIOS;
use stage::Stage;

/// The maximum number of violations in a report.
const VIOLATIONS_SHOWN: usize = 8;

/// Runs the scenarios on the command line. Returns whether all of them passed.
pub(crate) async fn run(words: Vec<String>, folder: &Folder) -> Outcome<bool> {
    if words.iter().any(|word| word == "--help") {
        say(arguments::USAGE);
        return Ok(true);
    }
    let arguments = Arguments::read(words.into_iter())?;
    let began = Instant::now();
    let (stage, mut verifiers) = Stage::new(&arguments, &folder.0).await?;
    let mut failures = 0;
    let mut found = 0;
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| arguments.wants(name)) {
        let began = Instant::now();
        let outcome = scenario(&stage).await;
        let report = stage.report();
        found += report.violations.len();
        say(&format!("{name} ({:.1} s)\n{}", began.elapsed().as_secs_f64(), report.text));
        for violation in report.violations.iter().take(VIOLATIONS_SHOWN) {
            say(&format!("  VIOLATION: {violation}"));
        }
        failures += usize::from(!report.violations.is_empty());
        if let Err(error) = outcome {
            failures += 1;
            say(&format!("  FAILED: {error}"));
            keep_logs(&stage, &arguments, name)?;
            // The next scenario would start from the state that this one left behind.
            break;
        }
    }
    verifiers.shutdown().await;
    drop(stage);
    let took = Duration::from_secs(began.elapsed().as_secs());
    if arguments.control != Control::None {
        say(if found > 0 {
            "As expected: the mechanism was switched off, and violations were found."
        } else {
            "FAILED: the mechanism was switched off, but no violation was found."
        });
        return Ok(found > 0);
    }
    say(&match failures {
        0 => format!("Passed in {took:?}: no server answered from a lost history."),
        _ => format!("FAILED after {took:?}"),
    });
    Ok(failures == 0)
}

fn keep_logs(stage: &Stage, arguments: &Arguments, scenario: &str) -> Outcome<()> {
    fs::create_dir_all(&arguments.folder)?;
    for (name, log) in stage.logs() {
        let file = arguments.folder.join(format!("{}-{name}.log", scenario.replace(' ', "-")));
        fs::write(&file, log)?;
        say(&format!("  the log of {name} was saved to {}", file.display()));
    }
    Ok(())
}
