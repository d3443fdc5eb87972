//! `tessera migrate`: brings the schema up to date. The server does the same when it starts.
//!
//! It often runs elsewhere than the server, without its keys. So it makes none, and writes nothing that keys prove.

use super::{
    Failure, output,
    session::{self, Expect},
};
use crate::config::Config;

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Tables, async |_| {
        Ok(output::line("The database is up to date.")?)
    })
    .await
}
