//! Verification among a million tokens, against a thousand.

use std::io::Write;

use super::verify::questions;
use crate::{
    Outcome,
    drive::Order,
    fill::fill,
    process::Cpu,
    rounds::{Settings, Side, ratio},
    tessera::Tessera,
};

const SMALL: u32 = 1_000;
const LARGE: u32 = 1_000_000;

/// Prints the ratio of throughputs: verifying the same number of tokens on both sides, and
/// verifying all.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    // Enough to cache all tokens.
    let large = Tessera::start(&["--cached-tokens", "2000000"])?;
    let small = Tessera::start(&[])?;
    let count = settings.count(LARGE);
    let callers = [&large, &small].map(|side| side.token("workspace-1", "tessera", "verify"));
    let [large_caller, small_caller] = callers;
    let (large_caller, small_caller) = (large_caller?, small_caller?);
    let all = fill(&large, "workspace-1", count)?;
    let some = all[..SMALL as usize].to_vec();
    let few = questions(&small_caller, fill(&small, "workspace-1", SMALL)?, Order::Random)?;
    let some = questions(&large_caller, some, Order::Random)?;
    let once = questions(&large_caller, all.clone(), Order::Once)?;
    let all = questions(&large_caller, all, Order::Random)?;

    writeln!(
        out,
        "POST /api/v1/verify, throughput of a server with {count} tokens against one with {SMALL}"
    )?;
    writeln!(out, "at 32 connections")?;
    writeln!(out)?;
    let side = |requests| Side { url: &large.url, cpu: Cpu::Process(large.pid), requests };
    for (name, requests) in
        [("a thousand of the tokens", &some), ("all tokens, random order", &all)]
    {
        if name.contains("all") {
            while !once.is_repeated() {
                side(&once).measure(32, 2.0, None)?;
            }
        }
        let other = Side { url: &small.url, cpu: Cpu::Process(small.pid), requests: &few };
        let rounds = settings.compare([side(requests), other], 32, None)?;
        let of = |reading: &crate::rounds::Reading| reading.per_second;
        writeln!(out, "  {name:<28} {}", ratio(&rounds, of, of))?;
    }
    Ok(())
}
