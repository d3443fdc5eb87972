//! `tessera token create`: prints only the secret to standard output, so that `TOKEN=$(tessera
//! token create …)` works. Everything else goes to standard error.

use authority::TokenDraft;
use domain::{expiry, names::Slug, rate_limit::RateLimit};

use super::{moment, pairs, shown, slug, tag};
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
    /// The workspace that the token belongs to
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// The token's name
    #[arg(long)]
    name: String,
    /// The token's purpose
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// An audience of the token; may be given more than once [default: default, or the audiences
    /// that --scope names]
    #[arg(long)]
    audience: Vec<String>,
    /// A scope of one audience (default/rivers:read) or of each --audience that has it
    /// (rivers:read); may be given more than once
    #[arg(long, required = true, value_name = "[AUDIENCE/]SCOPE")]
    scope: Vec<String>,
    /// E-mail address of the user that the token acts as [default: the workspace's first
    /// administrator]
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    /// When the token expires: 30d, 12h, 2027-08-18, never [default: set by the workspace's policy]
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    expires_in: String,
    /// The token is not valid before this moment, RFC 3339
    #[arg(long, value_name = "MOMENT")]
    not_before: Option<String>,
    /// An address or a network that the token may be used from; may be given more than once
    /// [default: anywhere]
    #[arg(long, value_name = "NETWORK")]
    ip_allow: Vec<String>,
    /// How often the token may be used: 600/60s, 10000/1h [default: no limit]
    #[arg(long, value_name = "USES/TIME")]
    rate_limit: Option<RateLimit>,
    /// Keep the secret sealed, so that it can be shown again; the workspace's policy must allow it
    #[arg(long)]
    recoverable: bool,
    /// A tag; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let (grants, audiences, scopes) = match pairs(&arguments.audience, &arguments.scope)? {
        Some(grants) => (Some(grants), Vec::new(), Vec::new()),
        None => (None, arguments.audience, arguments.scope),
    };
    let draft = TokenDraft {
        name: arguments.name,
        description: arguments.description,
        user: arguments.owner,
        grants,
        audiences,
        scopes,
        expiry: expiry::parse(&arguments.expires_in),
        not_before: arguments.not_before,
        ip_allow: arguments.ip_allow,
        rate_limit: Ok(arguments.rate_limit),
        recoverable: arguments.recoverable.into(),
        tags: arguments.tag.into_iter().collect(),
        ..TokenDraft::default()
    };
    let minted = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        Ok(session.authority.tokens().create(&context, &arguments.workspace, draft).await?)
    })
    .await?;
    let token = &minted.token;
    if let Err(error) = output::line(minted.secret.expose()) {
        return Err(Failure::new(format_args!(
            "token {} was created, but its secret could not be printed ({error}); delete it",
            token.id
        )));
    }
    remark(&format!(
        "Created token {} ({}) in {}, acting as {}; expires: {}. {}",
        token.name,
        token.id,
        token.workspace,
        token.user.email,
        moment(token.expires_at, "never"),
        shown(token)
    ));
    Ok(())
}
