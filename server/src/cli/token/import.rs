//! `tessera token import FILE`: imports tokens that another system stores as SHA-256 digests.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use authority::Format;
use domain::names::Slug;

use super::slug;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::{self, remark},
};

/// The maximum size of the file, which is more than enough for the maximum number of rows.
const FILE_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(
        help = "A file with digest, name, owner, scopes, audiences, expires_at and description in each row; - is standard input"
    )]
    file: PathBuf,
    /// The workspace of the imported tokens
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// The format of the rows: csv or jsonl [default: the ending of the file name]
    #[arg(long)]
    format: Option<Format>,
    /// Show what would be imported without importing anything
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let by_name = arguments.file.extension().and_then(|extension| extension.to_str());
    let format = match (arguments.format, by_name) {
        (Some(format), _) => format,
        (None, Some("csv")) => Format::Csv,
        (None, Some("jsonl" | "ndjson")) => Format::Jsonl,
        (None, _) => {
            return Err(Failure::Usage(
                "the file name does not show the format; pass --format csv or --format jsonl"
                    .to_owned(),
            ));
        }
    };
    let bytes = read(&arguments.file)?;
    let report = session::with(&config, Expect::Existing, async |session| {
        let (context, transfer) = (session.context(), session.authority.transfer());
        let workspace = &arguments.workspace;
        Ok(transfer.import(&context, workspace, format, &bytes, arguments.dry_run).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&report)?);
    }
    for token in &report.tokens {
        if let Some(id) = token.id {
            output::line(&format!("{id}  {}", output::plain(&token.name)))?;
        }
    }
    let count = report.tokens.len();
    remark(&if report.dry_run {
        format!("{count} tokens can be imported. Nothing was changed.")
    } else {
        format!(
            "Imported {count} tokens into {}. A running server accepts their secrets within two seconds.",
            arguments.workspace
        )
    });
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let told = |error: std::io::Error| Failure::new(format_args!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(told)?;
    } else {
        let file = std::fs::File::open(path).map_err(told)?;
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(told)?;
    }
    if bytes.len() as u64 > FILE_MAX {
        return Err(Failure::new(format_args!("{} is larger than 16 MiB", path.display())));
    }
    Ok(bytes)
}
