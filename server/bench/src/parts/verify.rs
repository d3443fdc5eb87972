//! Verification of tokens that were verified before, against the no-op server.

use std::io::Write;

use crate::{
    Outcome,
    drive::{Order, Requests, TOKEN, exchange},
    fill::fill,
    noop::{Noop, body},
    process::Cpu,
    rounds::{Reading, Settings, Side, ratio, spread},
    tessera::Tessera,
};

/// The driver's connections.
pub(crate) const CONNECTIONS: [usize; 3] = [1, 32, 128];
/// The number of tokens, which are verified in random order.
const TOKENS: u32 = 10_000;
/// How long the warm-up takes, in seconds: long enough for each token to be looked up.
const WARM_UP_S: f64 = 20.0;
/// The scope of the tokens from `fill`.
const GOOD: &str = "rivers:run";
const BAD: &str = "rivers:write";

/// Returns the driver's requests: a caller that may verify sends these tokens.
pub(crate) fn questions(caller: &str, tokens: Vec<String>, order: Order) -> Outcome<Requests> {
    question(caller, tokens, order, GOOD)
}

fn question(caller: &str, tokens: Vec<String>, order: Order, scope: &str) -> Outcome<Requests> {
    let body = serde_json::json!({ "token": TOKEN, "audience": "default", "scopes": [scope] });
    Requests::new(
        "POST",
        "/api/v1/verify",
        &[("Authorization", &format!("Bearer {caller}")), ("Content-Type", "application/json")],
        &body.to_string(),
        tokens,
        order,
    )
}

/// Checks that a good token is accepted, and that an unknown token, a requirement that a token does
/// not meet, and a caller that may not verify are refused.
pub(crate) fn check(url: &str, caller: &str, token: &str) -> Outcome<()> {
    let unknown = domain::token_text::compose("tsr", &"0".repeat(30));
    let tries = [
        (caller, token, GOOD, "\"code\":\"VALID\""),
        (caller, token, BAD, "\"code\":\"INSUFFICIENT_SCOPE\""),
        (caller, &unknown, GOOD, "\"code\":\"NOT_FOUND\""),
        (token, token, GOOD, "\"status\":403"),
        (&unknown, token, GOOD, "\"status\":401"),
    ];
    for (caller, token, scope, wanted) in tries {
        let request = question(caller, vec![token.to_owned()], Order::Once, scope)?;
        let answer = exchange(url, request.first())?;
        if !body(&answer)?.contains(wanted) {
            let answer = String::from_utf8_lossy(&answer);
            return Err(format!("expected {wanted}, but got {answer}").into());
        }
    }
    Ok(())
}

/// Prints throughput, CPU time and latency of closed runs, then latency at half the peak.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let tokens = fill(&tessera, "workspace-1", TOKENS)?;
    check(&tessera.url, &caller, &tokens[0])?;
    let requests = questions(&caller, tokens.clone(), Order::Random)?;
    let noop = Noop::like(&tessera.url, requests.first())?;
    let size = exchange(&noop.url, requests.first())?.len();
    let ours = Side { url: &tessera.url, cpu: Cpu::Process(tessera.pid), requests: &requests };
    let sides = [ours, Side { url: &noop.url, cpu: Cpu::Process(noop.pid), requests: &requests }];
    // Each token once, so that all of them are cached where they can be.
    let once = questions(&caller, tokens, Order::Once)?;
    Side { requests: &once, ..ours }.measure(8, WARM_UP_S, None)?;

    writeln!(
        out,
        "POST /api/v1/verify of {TOKENS} tokens in random order, against an axum handler that"
    )?;
    writeln!(out, "returns the same {size} bytes, including the head")?;
    writeln!(out)?;
    writeln!(
        out,
        "  {:<12} {:<24} {:<24} {:<24} ours, a second",
        "connections", "throughput", "CPU per request", "p50"
    )?;
    let mut peak: f64 = 0.0;
    for connections in CONNECTIONS {
        let rounds = settings.compare(sides, connections, None)?;
        let of = |of: fn(&Reading) -> f64| ratio(&rounds, of, of).to_string();
        let own = spread(&rounds, |(ours, _)| ours.per_second);
        peak = peak.max(own.median());
        writeln!(
            out,
            "  {connections:<12} {:<24} {:<24} {:<24} {own:.0}",
            of(|reading| reading.per_second),
            of(|reading| reading.cpu_us),
            of(|reading| reading.times.percentile(0.5)),
            own = own.median(),
        )?;
    }
    print_half(settings, sides, peak / 2.0, out)
}

/// Prints latency at a constant rate, measured from when a request was due.
fn print_half(
    settings: Settings,
    sides: [Side<'_>; 2],
    rate: f64,
    out: &mut impl Write,
) -> Outcome<()> {
    writeln!(out)?;
    writeln!(out, "  open loop, {rate:.0} a second (half of our peak) over 32 connections")?;
    let rounds = settings.compare(sides, 32, Some(rate))?;
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let of = |reading: &Reading| reading.times.percentile(share);
        let ours = spread(&rounds, |(ours, _)| of(ours)).with("µs", 0);
        let theirs = spread(&rounds, |(_, theirs)| of(theirs)).with("µs", 0);
        let ratio = ratio(&rounds, of, of).to_string();
        writeln!(out, "  {name:<12} {ratio:<24} ours {ours:<28} its {theirs}")?;
    }
    Ok(())
}
