//! `tessera user disable USER` and `tessera user enable USER`.

use authority::{KnownSecrets, UserChange};

use super::{
    super::{
        Failure,
        output::remark,
        session::{self, Expect},
    },
    Known, ended,
};
use crate::config::Config;

/// Arguments of `tessera user enable`.
#[derive(Debug, clap::Args)]
pub(crate) struct EnableArgs {
    /// E-mail address or id of the user
    user: String,
}

/// Arguments of `tessera user disable`.
#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    /// E-mail address or id of the user
    user: String,
    #[command(flatten)]
    known: Known,
}

pub(super) async fn enable(arguments: EnableArgs, config: Config) -> Result<(), Failure> {
    run(&arguments.user, (true, KnownSecrets::default()), config).await
}

pub(super) async fn disable(arguments: DisableArgs, config: Config) -> Result<(), Failure> {
    run(&arguments.user, (false, arguments.known.known_secrets), config).await
}

async fn run(
    user: &str,
    (enabled, known_secrets): (bool, KnownSecrets),
    config: Config,
) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, user).await?.summary.id;
        let change = UserChange { enabled: Some(enabled), known_secrets, ..UserChange::default() };
        let changed = users.change(&context, id, change, None).await?;
        let email = &changed.user.summary.email;
        remark(&if enabled {
            format!("Enabled {email}.")
        } else {
            format!("Disabled {email}. {}", ended(&changed))
        });
        Ok(())
    })
    .await
}
