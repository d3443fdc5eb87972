//! Verification of uncached tokens, against pgbench's single-row select.

use std::{io::Write, time::Duration};

use super::verify::{check, questions};
use crate::{
    Outcome,
    database::{AS_MANY, Database, Postgres},
    drive::Order,
    fill::fill,
    process::{Cpu, DRIVER, SERVERS, pin},
    rounds::{Settings, Side, ratio, spread},
    tessera::Tessera,
};

const CONNECTIONS: [usize; 3] = [1, 8, 32];
const TOKENS: u32 = 200_000;
/// The number of tokens in use: far more than the server caches, verified in sequence. Each token
/// has been evicted before it is verified again.
const IN_USE: u32 = 20_000;
/// The server writes the recorded uses every two seconds.
const SETTLED: Duration = Duration::from_secs(4);
/// Enough for the caller's own token and a few more.
const REMEMBERED: &str = "100";
/// pgbench's table, with as many rows as there are secrets.
const TABLE: &str = "CREATE TABLE bench_digests (digest bytea PRIMARY KEY, token_id uuid NOT NULL);
     INSERT INTO bench_digests
     SELECT sha256(int8send(i)), gen_random_uuid() FROM generate_series(1::bigint, {count}) AS i;
     VACUUM ANALYZE bench_digests;
     CHECKPOINT";
const SELECT: &str = "\\set i random(1, {count})
     SELECT token_id FROM bench_digests WHERE digest = sha256(int8send(:i::bigint));\n";

/// Prints the ratios for two ways of sharing the cores.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let postgres = Postgres::start()?;
    let [many, number] = AS_MANY;
    let url = postgres.url();
    let arguments = ["--database-url", &url, many, number, "--cached-tokens", REMEMBERED];
    let tessera = Tessera::start(&arguments)?;
    let database = postgres.database()?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let count = settings.count(TOKENS);
    let tokens = fill(&tessera, "workspace-1", count)?;
    database.sql(&TABLE.replace("{count}", &count.to_string()))?;
    check(&tessera.url, &caller, &tokens[0])?;
    let in_use = settings.count(IN_USE);
    let few = tokens.iter().take(in_use as usize).cloned().collect();
    let few = questions(&caller, few, Order::Once)?;
    let all = questions(&caller, tokens, Order::Once)?;
    let select = SELECT.replace("{count}", &count.to_string());

    writeln!(
        out,
        "POST /api/v1/verify of {count} tokens, of which {REMEMBERED} are cached, one after the"
    )?;
    writeln!(
        out,
        "other, against `pgbench -M prepared` that selects one of as many rows by digest"
    )?;
    for (layout, core) in [
        (
            "the database on one core, its clients (ours with the driver; pgbench) on the other",
            DRIVER,
        ),
        ("our server on the database's core, the driver on the other", SERVERS),
    ] {
        pin(tessera.pid, core)?;
        pin(database.pid, SERVERS)?;
        // The use of each token is written at most every two minutes, so few tokens cause almost no
        // writes.
        for (requests, in_use) in [(&few, in_use), (&all, count)] {
            writeln!(out)?;
            writeln!(out, "  {layout}; {in_use} tokens in use")?;
            let side = Side { url: &tessera.url, cpu: Cpu::Process(tessera.pid), requests };
            for connections in CONNECTIONS {
                line(settings, side, (&database, &select), connections, out)?;
            }
            // Outstanding writes must not slow down the next measurement.
            std::thread::sleep(SETTLED);
        }
    }
    Ok(())
}

fn line(
    settings: Settings,
    side: Side<'_>,
    (database, select): (&Database, &str),
    connections: usize,
    out: &mut impl Write,
) -> Outcome<()> {
    // Uses each of them once.
    side.measure(connections, settings.seconds, None)?;
    database.pgbench(select, connections, 1.0)?;
    let rounds = settings.alternate(
        || side.measure(connections, settings.seconds, None),
        || database.pgbench(select, connections, settings.seconds),
    )?;
    let throughput = ratio(&rounds, |ours| ours.per_second, |pgbench| pgbench.per_second);
    let ours = spread(&rounds, |(ours, _)| ours.per_second).median();
    let theirs = spread(&rounds, |(_, pgbench)| pgbench.per_second).median();
    write!(
        out,
        "  {connections:>4} connections  {throughput}   ours {ours:.0}, its {theirs:.0} a second"
    )?;
    if connections == 1 {
        let more = spread(&rounds, |(ours, pgbench)| 1e6 / ours.per_second - pgbench.mean_us);
        write!(out, "; {} more", more.with("µs", 0))?;
    }
    writeln!(out)?;
    Ok(())
}
