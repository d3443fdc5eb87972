//! The cost of recording the use of tokens.

use std::{io::Write, time::Duration};

use super::verify::questions;
use crate::{
    Outcome,
    database::Database,
    drive::Order,
    fill::fill,
    process::Cpu,
    rounds::{Settings, Side, ratio},
    tessera::Tessera,
};

const TOKENS: u32 = 1_000;
/// Twice the time for which a token's uses are collected.
const MINUTES: f64 = 4.0;
/// After this time, the statistics include all writes: an idle session reports after ten seconds.
const SETTLED: Duration = Duration::from_secs(12);
/// The variable with the path of a binary that records no use. No option switches recording off.
const OTHER: &str = "BENCH_WITHOUT_USE";

/// Prints the rows written per token and minute and, if there is a binary to compare with, the cost
/// of recording.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let tokens = fill(&tessera, "workspace-1", TOKENS)?;
    let requests = questions(&caller, tokens, Order::Random)?;
    let side = Side { url: &tessera.url, cpu: Cpu::Process(tessera.pid), requests: &requests };
    writeln!(out, "Recording the use of tokens")?;
    writeln!(out)?;

    if let Some(binary) = std::env::var_os(OTHER) {
        let off = Tessera::start_other(&binary)?;
        let caller = off.token("workspace-1", "tessera", "verify")?;
        let requests = questions(&caller, fill(&off, "workspace-1", TOKENS)?, Order::Random)?;
        let without = Side { url: &off.url, cpu: Cpu::Process(off.pid), requests: &requests };
        let rounds = settings.compare([side, without], 32, None)?;
        let throughput = ratio(&rounds, |on| on.per_second, |off| off.per_second);
        let cpu = ratio(&rounds, |on| on.cpu_us, |off| off.cpu_us);
        writeln!(
            out,
            "  at 32 connections, recorded against not recorded: throughput {throughput}, CPU {cpu}"
        )?;
    }

    let database = tessera.database()?;
    let minutes = if settings.quick { MINUTES / 9.0 } else { MINUTES };
    // At a constant rate instead of the maximum, because the figure is the number of writes.
    let rate = (side.measure(8, 5.0, None)?.per_second / 2.0).min(f64::from(TOKENS));
    std::thread::sleep(SETTLED);
    let before = written(&database)?;
    side.measure(8, minutes * 60.0, Some(rate))?;
    std::thread::sleep(SETTLED);
    let minutes = minutes + SETTLED.as_secs_f64() / 60.0;
    let each = (written(&database)? - before) / f64::from(TOKENS) / minutes;
    writeln!(
        out,
        "  rows written per token and minute: {each:.2} ({TOKENS} tokens, each used {:.0} times per minute \
         for {minutes:.1} minutes)",
        rate * 60.0 / f64::from(TOKENS)
    )?;
    Ok(())
}

/// Returns the number of rows inserted and updated, except for the servers' heartbeats.
fn written(database: &Database) -> Outcome<f64> {
    let text = database.sql(
        "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables WHERE relname <> 'replicas'",
    )?;
    Ok(text.trim().parse()?)
}
