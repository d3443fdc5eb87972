//! `tessera config check`: prints the effective values and their sources.

use crate::{
    cli::{
        Failure,
        flags::{Flags, ServerFlags},
    },
    config::effective,
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) fn run(arguments: &Args, flags: &Flags) -> Result<(), Failure> {
    let config = flags.load(&arguments.server)?;
    let rows = effective(&config);
    if arguments.json {
        return Ok(output::json(&rows)?);
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            vec![row.setting.to_owned(), row.value.unwrap_or_else(|| "-".to_owned()), row.source]
        })
        .collect();
    Ok(output::table(&["SETTING", "VALUE", "FROM"], &rows)?)
}
