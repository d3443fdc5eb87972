//! `tessera token disable ID`.

use domain::ids::TokenId;

use super::{
    super::{
        Failure,
        session::{self, Expect},
    },
    id, told,
};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
    /// Also disable the tokens that this token created, and those that they created
    #[arg(long)]
    children: bool,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let token = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        let tokens = session.authority.tokens();
        Ok(tokens.disable_with_children(&context, arguments.id, None, arguments.children).await?)
    })
    .await?;
    told(&token, "is disabled: it is refused everywhere", arguments.json)
}
