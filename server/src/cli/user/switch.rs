//! `tessera user disable USER` and `tessera user enable USER`.

use authority::UserChange;
use domain::user::User;
use serde::Serialize;

use super::{
    super::{
        Failure,
        output::{self, remark},
        session::{self, Expect},
    },
    Known, ended,
};
use crate::config::Config;

/// Arguments of `tessera user enable`.
#[derive(Debug, clap::Args)]
pub(crate) struct EnableArgs {
    /// E-mail address or ID of the user
    user: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `tessera user disable`.
#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    /// E-mail address or ID of the user
    user: String,
    #[command(flatten)]
    known: Known,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The same fields as in the API.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    user: &'a User,
    stopped_tokens: i64,
    disabled_tokens: i64,
    password_ended: bool,
    ended_passwords: &'a [String],
}

pub(super) async fn enable(arguments: EnableArgs, config: Config) -> Result<(), Failure> {
    let EnableArgs { user, json } = arguments;
    let change = UserChange { enabled: Some(true), ..UserChange::default() };
    run(&user, change, json, config).await
}

pub(super) async fn disable(arguments: DisableArgs, config: Config) -> Result<(), Failure> {
    let DisableArgs { user, known, json } = arguments;
    let known_secrets = known.known_secrets;
    let change = UserChange { enabled: Some(false), known_secrets, ..UserChange::default() };
    run(&user, change, json, config).await
}

async fn run(user: &str, change: UserChange, json: bool, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, users) = (session.context(), session.authority.users());
        let id = users.find(&context, user).await?.summary.id;
        let changed = users.change(&context, id, change, None).await?;
        let email = &changed.user.summary.email;
        if json {
            output::json(&Changed {
                user: &changed.user,
                stopped_tokens: changed.stopped_tokens,
                disabled_tokens: changed.disabled_tokens,
                password_ended: changed.password_ended,
                ended_passwords: &changed.ended_passwords,
            })?;
        }
        remark(&if changed.user.enabled {
            format!("Enabled {email}.")
        } else {
            format!("Disabled {email}. {}", ended(&changed))
        });
        Ok(())
    })
    .await
}
