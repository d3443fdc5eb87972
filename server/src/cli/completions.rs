//! `tessera completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Failure};
use crate::output;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell; save the output where that shell looks for completions
    shell: Shell,
}

pub(super) fn run(arguments: &Args) -> Result<(), Failure> {
    // Writes to memory first, because the generator panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "tessera", &mut script);
    Ok(output::text(&script)?)
}
