//! `tessera token expire ID`.

use super::{
    super::{
        Failure,
        session::{self, Expect},
    },
    Change, told,
};
use crate::config::Config;

pub(super) async fn run(arguments: Change, config: Config) -> Result<(), Failure> {
    let token = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        Ok(session.authority.tokens().expire(&context, arguments.id, None).await?)
    })
    .await?;
    told(&token, "has expired", arguments.json)
}
