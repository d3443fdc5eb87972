//! Verifications while tenants keep the server busy with the slowest requests that are allowed.
//!
//! Both sides have the same load: while Tessera or the no-op server is measured, the same requests
//! go to Tessera on the same core. So the figure shows the slowdown of verifications beyond that of
//! any other program on the core.

use std::{
    io::{self, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use super::{
    slow::{Slow, requests},
    verify::questions,
};
use crate::{
    Outcome,
    drive::Order,
    fill::fill,
    noop::Noop,
    process::Cpu,
    rounds::{Reading, Settings, Side, is_wanted, ratio, spread},
    tessera::Tessera,
};

/// The maximum p99, relative to the other side's.
const GOAL: f64 = 2.0;
/// Verifications per second: few enough that a core could do far more in addition to the load.
const RATE: f64 = 500.0;
const CONNECTIONS: usize = 8;
/// The number of tenants that send requests continuously.
const TENANTS: usize = 4;
/// How long to wait for a response.
const PATIENCE: Duration = Duration::from_mins(1);

/// Prints a line for each kind.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let tokens = fill(&tessera, "workspace-1", 1_000)?;
    let asked = questions(&caller, tokens, Order::Random)?;
    let noop = Noop::like(&tessera.url, asked.first())?;
    let ours = Side { url: &tessera.url, cpu: Cpu::Process(tessera.pid), requests: &asked };
    let theirs = Side { url: &noop.url, cpu: Cpu::Process(noop.pid), requests: &asked };
    let slow = requests(&tessera, settings)?;

    writeln!(
        out,
        "POST /api/v1/verify, {RATE:.0} a second, while {TENANTS} other tenants send the slowest \
         requests,"
    )?;
    writeln!(
        out,
        "against a handler that does nothing under the same load; p99 from when a request was due"
    )?;
    writeln!(out)?;
    for Slow { name, request } in slow.iter().filter(|slow| is_wanted(slow.name)) {
        let done = AtomicU32::new(0);
        let rounds = beside(&tessera.url, request, &done, || {
            settings.compare([ours, theirs], CONNECTIONS, Some(RATE))
        })?;
        let p99 = |reading: &Reading| reading.times.percentile(0.99);
        let ratio = ratio(&rounds, p99, p99);
        let verdict = if ratio.median() > GOAL { "  beyond the goal" } else { "" };
        let own = spread(&rounds, |(ours, _)| p99(ours)).with("µs", 0);
        let other = spread(&rounds, |(_, theirs)| p99(theirs)).with("µs", 0);
        let done = done.into_inner();
        writeln!(
            out,
            "  {name:<10} {ratio:<24} ours {own:<28} its {other}; {done} answered{verdict}"
        )?;
    }
    Ok(())
}

/// Measures while threads send a request continuously.
fn beside<T>(
    url: &str,
    request: &[u8],
    done: &AtomicU32,
    measure: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..TENANTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // An overloaded server refuses some requests, which is correct.
                    if ask(url, request).is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let outcome = measure();
        stop.store(true, Ordering::Relaxed);
        outcome
    })
}

/// Sends a request, and reads and discards its response, whatever its status.
fn ask(url: &str, request: &[u8]) -> io::Result<u64> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    io::copy(&mut stream, &mut io::sink())
}
