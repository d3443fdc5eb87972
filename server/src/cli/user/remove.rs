//! `tessera user remove USER`: for good.

use super::super::{
    Failure,
    output::remark,
    session::{self, Expect},
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or id of the user
    user: String,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, &arguments.user).await?.summary.id;
        let removed = users.remove(&context, id, None).await?;
        remark(&format!(
            "Removed {}. Tokens that stopped: {}.",
            removed.user.summary.email, removed.stopped_tokens
        ));
        Ok(())
    })
    .await
}
