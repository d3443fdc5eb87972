//! Instructions of a verification, counted by callgrind: the same whatever else the machine does.

use std::{fs, io::Write, path::Path, process::Command};

use super::verify::questions;
use crate::{
    Outcome,
    drive::{Load, Order, Requests},
    fill::fill,
    noop::{Noop, body, headers},
    process::SERVERS,
    rounds::Settings,
    tessera::{Folder, Tessera},
};

const REQUESTS_OF: u32 = 1_000;

/// Prints instructions per request of both.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        writeln!(out, "Instructions: left out, valgrind is missing (apt-get install valgrind)")?;
        return Ok(());
    }
    let folder = Folder::new()?;
    let runner = |name: &str| {
        [
            "valgrind".to_owned(),
            "--tool=callgrind".to_owned(),
            "--quiet".to_owned(),
            format!("--callgrind-out-file={}/{name}.%p", folder.0.display()),
        ]
    };
    let own = runner("tessera");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let tessera = Tessera::start_under(&own)?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let tokens = fill(&tessera, "workspace-1", REQUESTS_OF)?;
    let requests = questions(&caller, tokens, Order::Once)?;
    let answer = crate::drive::exchange(&tessera.url, requests.first())?;
    let theirs = runner("noop");
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    let noop = Noop::start(SERVERS, &theirs, &headers(&answer)?, body(&answer)?)?;

    let ours = count(&folder.0, "tessera", tessera.pid, &tessera.url, &requests, settings)?;
    let its = count(&folder.0, "noop", noop.pid, &noop.url, &requests, settings)?;
    writeln!(out, "Instructions of POST /api/v1/verify at one connection, by callgrind")?;
    writeln!(out)?;
    writeln!(out, "  {:.3} ×   ours {ours:.0}, its {its:.0} a request", ours / its)?;
    Ok(())
}

/// Instructions of a request, between two dumps.
fn count(
    folder: &Path,
    name: &str,
    pid: u32,
    url: &str,
    requests: &Requests,
    settings: Settings,
) -> Outcome<f64> {
    let seconds = settings.seconds * 3.0;
    let load = Load { url, requests, connections: 1, seconds, rate: None };
    // Every token at least once, whatever valgrind's slowness.
    let mut warm = 0;
    while warm < u64::from(REQUESTS_OF) {
        warm += load.run()?.answers;
    }
    control("--zero", pid)?;
    let answers = load.run()?.answers;
    control("--dump", pid)?;
    let mut total = 0.0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(&format!("{name}.{pid}")) {
            continue;
        }
        for line in fs::read_to_string(entry.path())?.lines() {
            if let Some(rest) = line.strip_prefix("totals: ") {
                total += rest.trim().parse::<f64>()?;
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(total / (answers + 1) as f64)
}

fn control(what: &str, pid: u32) -> Outcome<()> {
    let output = Command::new("callgrind_control").args([what, &pid.to_string()]).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("callgrind_control failed: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
