//! `tessera token export`: prints the records of a workspace's tokens, without digests or secrets.

use authority::Format;
use domain::{
    names::Slug,
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};

use super::slug;
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
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// The format of the rows: csv or jsonl
    #[arg(long, default_value = "jsonl")]
    format: Format,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let format = arguments.format;
    let mut query =
        TokenQuery { sort: TokenSort::Oldest, limit: LIMIT_MAX, ..TokenQuery::default() };
    session::with(&config, Expect::Existing, async |session| {
        let (context, tokens) = (session.context(), session.authority.tokens());
        output::text(format.token_heading().as_bytes())?;
        loop {
            let page = tokens.list(&context, &arguments.workspace, &query).await?;
            let transfer = session.authority.transfer();
            let lines = transfer.write_tokens(&context, format, page.items).await?;
            output::text(lines.as_bytes())?;
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(()),
            }
        }
    })
    .await
}
