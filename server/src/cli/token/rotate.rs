//! `tessera token rotate ID`: prints only the new secret to standard output. Everything else goes
//! to standard error.

use authority::RotationDraft;
use domain::{expiry, ids::TokenId};

use super::{id, moment, seconds, shown};
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
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
    /// How long the old secret still works: 30s, 15m, 12h, 7d [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    grace: Option<i64>,
    /// Accept the old secret until the new one is first used, but no longer than --grace
    #[arg(long)]
    until_first_use: bool,
    /// When the token expires: 30d, 12h, 2027-08-18, never [default: the same lifetime as before]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
    /// Also disable the tokens that this token created, and those that they created: after a leak,
    /// the old secret may have created them
    #[arg(long)]
    children: bool,
    /// Print the record and the secret as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let draft = RotationDraft {
        grace_s: arguments.grace,
        until_first_use: arguments.until_first_use,
        expiry: arguments.expires_in.as_deref().map(expiry::parse),
        children: arguments.children,
    };
    let minted = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        Ok(session.authority.tokens().rotate(&context, arguments.id, None, draft).await?)
    })
    .await?;
    let (token, secret) = (&minted.token, minted.secret.expose());
    let printed = if arguments.json {
        output::json(&serde_json::json!({
            "token": token, "secret": secret, "children_pending": minted.children_pending,
        }))
    } else {
        output::line(secret)
    };
    if let Err(error) = printed {
        return Err(Failure::new(format_args!(
            "token {} was rotated, but its new secret could not be printed ({error}); rotate it again",
            token.id
        )));
    }
    if minted.children_pending {
        remark(
            "Some tokens that it created are not disabled yet. The server continues to disable \
             them.",
        );
    }
    remark(&format!(
        "Rotated token {} ({}) in {}; expires: {}; its old secret works until: {}. {}",
        token.name,
        token.id,
        token.workspace,
        moment(token.expires_at, "never"),
        moment(token.grace_until, "now"),
        shown(token)
    ));
    Ok(())
}
