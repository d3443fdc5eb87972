//! `tessera user remove USER`: for good.

use super::{
    super::{
        Failure,
        output::remark,
        session::{self, Expect},
    },
    Known, ended,
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or id of the user
    user: String,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, &arguments.user).await?.summary.id;
        let known = arguments.known.known_secrets;
        let removed = users.remove_and(&context, id, None, known).await?;
        remark(&format!("Removed {}. {}", removed.user.summary.email, ended(&removed)));
        Ok(())
    })
    .await
}
