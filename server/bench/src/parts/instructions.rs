//! Instructions of a verification, counted by callgrind: independent of the machine's load.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use super::verify::questions;
use crate::{
    Outcome,
    drive::{Load, Order, http2},
    fill::fill,
    noop::{Noop, body, headers},
    process::SERVERS,
    rounds::Settings,
    tessera::{Folder, Tessera},
};

const REQUESTS_OF: u32 = 1_000;

/// Prints the instructions per request of both servers.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        writeln!(
            out,
            "Instructions: skipped, valgrind is not installed (apt-get install valgrind)"
        )?;
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

    let seconds = settings.seconds * 3.0;
    let of = |name, pid, url: &str| {
        let load = Load { url, requests: &requests, connections: 1, seconds, rate: None };
        count(&folder.0, name, pid, || Ok(load.run()?.answers))
    };
    let by_http2 =
        |name, pid, url: &str| count(&folder.0, name, pid, || http2::run(url, &requests, seconds));
    let ours = of("tessera", tessera.pid, &tessera.url)?;
    let its = of("noop", noop.pid, &noop.url)?;
    let ours_2 = by_http2("tessera", tessera.pid, &tessera.url)?;
    let its_2 = by_http2("noop", noop.pid, &noop.url)?;
    writeln!(out, "Instructions of POST /api/v1/verify with one connection, counted by callgrind")?;
    writeln!(out)?;
    writeln!(out, "  {:.3} ×   ours {ours:.0}, its {its:.0} per request", ours / its)?;
    writeln!(
        out,
        "  {:.3} ×   ours {ours_2:.0}, its {its_2:.0} per request over HTTP/2",
        ours_2 / its_2
    )?;
    Ok(())
}

/// Returns the instructions per request between two dumps. `load` sends requests for some time, and
/// returns the number of responses.
fn count(folder: &Path, name: &str, pid: u32, load: impl Fn() -> Outcome<u64>) -> Outcome<f64> {
    // Every token at least once, however slow valgrind is.
    let mut warm = 0;
    while warm < u64::from(REQUESTS_OF) {
        warm += load()?;
    }
    // Removes the counts of other loads.
    for file in files(folder, name, pid)? {
        fs::remove_file(file)?;
    }
    control("--zero", pid)?;
    let answers = load()?;
    control("--dump", pid)?;
    let mut total = 0.0;
    for file in files(folder, name, pid)? {
        for line in fs::read_to_string(file)?.lines() {
            if let Some(rest) = line.strip_prefix("totals: ") {
                total += rest.trim().parse::<f64>()?;
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(total / (answers + 1) as f64)
}

/// Returns callgrind's files about a process.
fn files(folder: &Path, name: &str, pid: u32) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{name}.{pid}")) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn control(what: &str, pid: u32) -> Outcome<()> {
    let output = Command::new("callgrind_control").args([what, &pid.to_string()]).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("callgrind_control failed: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
