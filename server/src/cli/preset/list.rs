//! `tessera preset list`. Presets are part of the program, so this needs no database.

use domain::preset::Preset;
use serde_json::{Value, json};

use crate::{cli::Failure, output};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Args) -> Result<(), Failure> {
    if arguments.json {
        let presets: Vec<Value> = Preset::ALL
            .iter()
            .map(|preset| {
                json!({
                    "preset": preset,
                    "description": preset.description(),
                    "rules": preset.rules(),
                })
            })
            .collect();
        return Ok(output::json(&presets)?);
    }
    let rows: Vec<Vec<String>> = Preset::ALL
        .iter()
        .map(|preset| vec![preset.as_str().to_owned(), preset.description().to_owned()])
        .collect();
    Ok(output::table(&["PRESET", "DESCRIPTION"], &rows)?)
}
