//! `tessera session end ID | --user USER`.

use domain::ids::SessionId;

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::remark,
};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Args {
    /// ID of the session
    id: Option<SessionId>,
    /// End all sessions of this user: e-mail address or ID
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let (context, sessions) = (session.context(), session.authority.sessions());
        let ended = match arguments.id {
            Some(id) => sessions.end(&context, id).await.map(|()| 1)?,
            None => sessions.end_all(&context, arguments.user.as_deref()).await?,
        };
        remark(&format!("Sessions ended: {ended}."));
        Ok(())
    })
    .await
}
