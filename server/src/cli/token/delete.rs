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
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let token = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.tokens().delete(&session.context(), arguments.id, None).await?)
    })
    .await?;
    remark(&format!(
        "Deleted token {} ({}) of {}: it can never be used again.",
        token.name, token.id, token.workspace
    ));
    Ok(())
}
