//! `tessera migrate`: brings the schema up to date, as the server does when it starts.
//!
//! It often runs on another machine than the server, without the server's keys. So it creates no
//! keys, and writes nothing that is authenticated with keys.

use super::{
    Failure,
    session::{self, Expect},
};
use crate::{config::Config, output};

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Tables, async |_| {
        Ok(output::line("The database is up to date.")?)
    })
    .await
}
