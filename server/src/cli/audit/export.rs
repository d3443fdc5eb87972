//! `tessera audit export`: prints all rows, latest first.

use authority::{EXPORT_PAGE, Format};

use super::Rows;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rows: Rows,
    /// The format of the rows: csv or jsonl
    #[arg(long, default_value = "jsonl")]
    format: Format,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let (scope, mut query) = arguments.rows.read(EXPORT_PAGE);
    let format = arguments.format;
    session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        output::text(format.audit_heading().as_bytes())?;
        loop {
            let page = session.authority.audit().list(&context, &scope, &query).await?;
            let transfer = session.authority.transfer();
            let lines = transfer.write_audit(&context, format, page.items).await?;
            output::text(lines.as_bytes())?;
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(()),
            }
        }
    })
    .await
}
