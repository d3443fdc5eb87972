//! `tessera token reveal ID`: prints only the secret of a recoverable token to standard output.

use domain::ids::TokenId;

use super::id;
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::{self, remark},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let revealed = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        Ok(session.authority.tokens().reveal(&context, arguments.id, None).await?)
    })
    .await?;
    output::line(revealed.secret.expose())?;
    let token = &revealed.token;
    remark(&format!("This is the secret of token {} ({}).", token.name, token.id));
    Ok(())
}
