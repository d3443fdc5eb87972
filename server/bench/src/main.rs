//! `make bench`: ratios, not seconds.
//!
//! Each server runs on one core and the driver (wrk) on the other, in rounds A B B A, so that a
//! machine that grows slower in between is unfair to nobody. What is compared with is an axum handler
//! that answers the same bytes and does nothing. A figure is the median over the rounds of Tessera's
//! over the other's in the same round.

mod driver;
mod lists;
mod median;
mod noop;
mod server;
mod weight;

use std::{error::Error, io::Write};

use driver::{Load, Reading};
use median::Spread;
use server::Running;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds; each measures both servers once.
const ROUNDS: usize = 7;
/// Connections of the driver.
const CONNECTIONS: [u16; 2] = [1, 32];

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("noop") => noop::serve(&arguments.next().unwrap_or_default()),
        None => run(),
        Some("lists") => run_lists(&mut std::io::stdout().lock()),
        Some(other) => Err(format!("unknown argument {other}").into()),
    }
}

fn run() -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Page weight (brotli, first load of the console)")?;
    weight::print(&mut out)?;

    let tessera = Running::tessera(&[])?;
    let probe = tessera.prepare()?;
    let body = tessera.check(&probe)?;
    let noop = Running::noop(&body)?;
    writeln!(out)?;
    writeln!(
        out,
        "POST /api/v1/verify against an axum handler that answers the same {} bytes",
        body.len()
    )?;
    writeln!(
        out,
        "  medians of {ROUNDS} rounds A B B A, least and most in brackets; the database is asked for"
    )?;
    writeln!(out, "  the caller's token and for the verified one, each time")?;
    writeln!(out)?;
    writeln!(
        out,
        "  {:<12} {:<26} {:<26} CPU per request",
        "connections", "throughput", "p99 latency"
    )?;
    for connections in CONNECTIONS {
        let load = Load { connections, token: &probe.caller, body: &probe.body };
        load.warm_up(&tessera)?;
        load.warm_up(&noop)?;
        let mut rounds: Vec<(Reading, Reading)> = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let pair = if round % 2 == 0 {
                let a = load.measure(&tessera)?;
                (a, load.measure(&noop)?)
            } else {
                let b = load.measure(&noop)?;
                (load.measure(&tessera)?, b)
            };
            rounds.push(pair);
        }
        let ratio = |of: fn(&Reading) -> f64| {
            Spread::of(rounds.iter().map(|(tessera, noop)| of(tessera) / of(noop)).collect())
        };
        writeln!(
            out,
            "  {:<12} {:<26} {:<26} {}",
            connections,
            ratio(|reading| reading.per_second).to_string(),
            ratio(|reading| reading.p99_us).to_string(),
            ratio(|reading| reading.cpu_us),
        )?;
    }
    drop((tessera, noop));
    writeln!(out)?;
    run_lists(&mut out)
}

/// The lists alone: `cargo run --package bench -- lists`.
fn run_lists(out: &mut impl Write) -> Outcome<()> {
    // Many pages by one caller are the point here.
    let tessera = Running::tessera(&["--api-rate-limit", "0"])?;
    lists::print(&tessera, out)
}
