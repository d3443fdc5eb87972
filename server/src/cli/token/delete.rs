//! `tessera token delete ID`: deletes a token permanently.

use domain::ids::TokenId;

use super::id;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::remark,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
    /// Also delete the tokens that this token created, and those that they created
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
