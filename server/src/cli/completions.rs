//! `tessera completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Failure, Output};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell; for bash: tessera completions bash > /etc/bash_completion.d/tessera
    shell: Shell,
}

pub(super) fn run(arguments: &Args) -> Result<(), Failure> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "tessera", &mut script);
    Ok(Output.text(&script)?)
}
