//! Memory per cached token.

use std::{io::Write, time::Duration};

use super::verify::questions;
use crate::{
    Outcome,
    drive::Order,
    fill::fill,
    process::{Cpu, resident_bytes},
    rounds::{Settings, Side},
    tessera::Tessera,
};

/// Together with the tokens before them, fewer than the 100,000 that are cached by default.
const TOKENS: u32 = 90_000;
/// Longer than recorded uses are buffered before they are written.
const FLUSHED: Duration = Duration::from_secs(130);

/// Prints the bytes per token.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let idle = resident_bytes(tessera.pid)?;
    let caller = tessera.token("workspace-1", "tessera", "verify")?;
    let count = settings.count(TOKENS);
    let tokens = fill(&tessera, "workspace-1", count + count / 20)?;
    let (few, many) = tokens.split_at(tokens.len() - count as usize);
    let ask = |tokens: Vec<String>| -> Outcome<()> {
        let requests = questions(&caller, tokens, Order::Once)?;
        let side = Side { url: &tessera.url, cpu: Cpu::Process(tessera.pid), requests: &requests };
        while !requests.is_repeated() {
            side.measure(8, 1.0, None)?;
        }
        Ok(())
    };
    // Lets buffers, connections and the allocator's structures reach their size.
    ask(few.to_vec())?;
    let before = resident_bytes(tessera.pid)?;
    ask(many.to_vec())?;
    let after = resident_bytes(tessera.pid)?;
    if !settings.quick {
        std::thread::sleep(FLUSHED);
    }
    let later = resident_bytes(tessera.pid)?;
    let each = |bytes: f64| (bytes - before) / f64::from(count);
    writeln!(
        out,
        "Memory of the server's process (RssAnon) after {count} more tokens were verified"
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "  {:.0} B per token, {:.0} B once their use was written; {:.1} MB before any token was \
         verified",
        each(after),
        each(later),
        idle / 1e6
    )?;
    Ok(())
}
