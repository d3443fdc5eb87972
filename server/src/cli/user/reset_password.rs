//! `tessera user reset-password USER`: prints only the link.

use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    http::password_link,
    output::{self, remark},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address or ID of the person
    user: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let link = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        let id = session.authority.users().find(&context, &arguments.user).await?.summary.id;
        Ok(session.authority.passwords().issue_link(&context, id).await?)
    })
    .await?;
    let url = password_link(&link, &config);
    if arguments.json {
        let end = link.expires_at.format(&Rfc3339).map_err(Failure::new)?;
        output::json(&json!({"url": url, "expires_at": end}))?;
    } else {
        output::line(&url)?;
    }
    remark(&format!(
        "Give this link to {} <{}>. It sets a new password once, within 24 hours.",
        link.user.name, link.user.email
    ));
    Ok(())
}
