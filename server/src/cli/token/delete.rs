//! `tessera token delete ID`: for good.

use domain::ids::TokenId;

use super::{
    super::{
        Failure,
        output::remark,
        session::{self, Expect},
    },
    id,
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id
    #[arg(value_parser = id)]
    id: TokenId,
    /// Delete the tokens that it made, too, and those that they made
    #[arg(long)]
    children: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let token = session::with(&config, Expect::Existing, async |session| {
        let (tokens, context) = (session.authority.tokens(), session.context());
        let Args { id, children } = arguments;
        Ok(tokens.delete_with_children(&context, id, None, children).await?)
    })
    .await?;
    remark(&format!(
        "Deleted token {} ({}) of {}: it can never be used again.",
        token.name, token.id, token.workspace
    ));
    Ok(())
}
