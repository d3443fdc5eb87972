//! `make bench` and `make bench-peers`: ratios, not seconds.
//!
//! Servers run on one core and the driver on the other. Both sides of a comparison are measured
//! alternately. A figure is the median over the rounds of the ratio of both sides in the same
//! round. Each part also runs separately: `cargo run --release --package bench -- verify`, or
//! faster with `--quick`.

mod database;
mod drive;
mod fill;
mod median;
mod noop;
mod parts;
mod process;
mod rounds;
mod tessera;

use std::{
    error::Error,
    io::{StdoutLock, Write},
};

use parts::{
    create, gateways, growth, instructions, lists, memory, peers, tenants, uncached, usage, verify,
    weight,
};
use rounds::{Settings, print_machine};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Part = fn(Settings, &mut StdoutLock<'static>) -> Outcome<()>;

/// The parts by name: first those of `make bench`, then those that only run by name.
const PARTS: [(&str, Part); 12] = [
    ("weight", |_, out| weight::print(out)),
    ("verify", |settings, out| verify::print(settings, out)),
    ("instructions", |settings, out| instructions::print(settings, out)),
    ("uncached", |settings, out| uncached::print(settings, out)),
    ("create", |settings, out| create::print(settings, out)),
    ("usage", |settings, out| usage::print(settings, out)),
    ("memory", |settings, out| memory::print(settings, out)),
    ("tenants", |settings, out| tenants::print(settings, out)),
    ("gateways", |settings, out| gateways::print(settings, out)),
    ("growth", |settings, out| growth::print(settings, out)),
    ("lists", |_, out| lists::print(out)),
    ("peers", |settings, out| peers::print(settings, out)),
];
/// Takes long to install, so it is not part of `make bench`.
const PEERS: &str = "peers";

fn main() -> Outcome<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [noop, answer] = &arguments[..]
        && noop == "noop"
    {
        return noop::serve(answer);
    }
    let before = arguments.len();
    arguments.retain(|argument| argument != "--quick");
    let settings = Settings::new(arguments.len() < before);
    if let Some(unknown) =
        arguments.iter().find(|wanted| PARTS.iter().all(|(name, _)| name != wanted))
    {
        let names: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("{unknown} is not a part; the parts are {}", names.join(", ")).into());
    }
    // Programs that it starts without choosing a core stay on its core.
    process::pin(std::process::id(), process::DRIVER)?;
    let mut out = std::io::stdout().lock();
    print_machine(settings, &mut out)?;
    for (name, print) in PARTS {
        let is_wanted = if arguments.is_empty() {
            name != PEERS
        } else {
            arguments.iter().any(|argument| argument == name)
        };
        if is_wanted {
            writeln!(out)?;
            print(settings, &mut out)?;
            out.flush()?;
        }
    }
    Ok(())
}
