//! `tessera user remove USER`: removes a user permanently.

use serde_json::json;

use super::{Known, ended};
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
    /// E-mail address or ID of the user
    user: String,
    #[command(flatten)]
    known: Known,
    /// Print what was stopped as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, &arguments.user).await?.summary.id;
        let known = arguments.known.known_secrets;
        let removed = users.remove_and(&context, id, None, known).await?;
        if arguments.json {
            output::json(&json!({
                "stopped_tokens": removed.stopped_tokens,
                "disabled_tokens": removed.disabled_tokens,
                "ended_passwords": removed.ended_passwords,
            }))?;
        }
        remark(&format!("Removed {}. {}", removed.user.summary.email, ended(&removed)));
        Ok(())
    })
    .await
}
