//! `tessera user disable USER` and `tessera user enable USER`.

use authority::UserChange;

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

pub(super) async fn run(arguments: Args, enabled: bool, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, &arguments.user).await?.summary.id;
        let change = UserChange { enabled: Some(enabled), ..UserChange::default() };
        let changed = users.change(&context, id, change, None).await?;
        let email = &changed.user.summary.email;
        remark(&if enabled {
            format!("Enabled {email}.")
        } else {
            format!("Disabled {email}. Tokens that stopped: {}.", changed.stopped_tokens)
        });
        Ok(())
    })
    .await
}
