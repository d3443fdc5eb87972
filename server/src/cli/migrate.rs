//! `tessera migrate`: brings the schema up to date. The server does the same when it starts.

use super::{
    Failure, output,
    session::{self, Expect},
};
use crate::config::Config;

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Nothing, async |session| {
        session.authority.ready().await?;
        Ok(output::line("The database is up to date.")?)
    })
    .await
}
