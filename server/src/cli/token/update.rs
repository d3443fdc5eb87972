//! `tessera token update ID`: changes only the named properties.

use authority::{Edit, TokenPatch};
use domain::{expiry, ids::TokenId, rate_limit::RateLimit};

use super::{
    super::{
        Failure,
        session::{self, Expect},
    },
    id, pairs, tag, told,
};
use crate::config::Config;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args([
    "name", "description", "owner", "scope", "expires_in", "not_before", "no_not_before", "ip_allow",
    "from_anywhere", "rate_limit", "no_rate_limit", "tag", "no_tags",
]))]
pub(crate) struct Args {
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
    /// The token's name
    #[arg(long)]
    name: Option<String>,
    /// The token's purpose
    #[arg(long)]
    description: Option<String>,
    /// E-mail address of the user that the token acts as from now on
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    /// A scope to keep, of one audience (default/rivers:read) or of each audience that has it
    /// (rivers:read); all others are removed; may be given more than once
    #[arg(long, value_name = "[AUDIENCE/]SCOPE")]
    scope: Option<Vec<String>>,
    /// When the token expires: 30d, 12h, 2027-08-18, never
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
    /// The token is not valid before this moment, RFC 3339
    #[arg(long, value_name = "MOMENT", conflicts_with = "no_not_before")]
    not_before: Option<String>,
    /// An address or a network that the token may be used from; all others are removed; may be
    /// given more than once
    #[arg(long, value_name = "NETWORK", conflicts_with = "from_anywhere")]
    ip_allow: Option<Vec<String>>,
    /// How often the token may be used: 600/60s, 10000/1h
    #[arg(long, value_name = "USES/TIME", conflicts_with = "no_rate_limit")]
    rate_limit: Option<RateLimit>,
    /// A tag; all other tags are removed; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag, conflicts_with = "no_tags")]
    tag: Option<Vec<(String, String)>>,
    #[command(flatten)]
    cleared: Cleared,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

/// The properties to clear.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate flag")]
struct Cleared {
    /// Make the token valid from now on
    #[arg(long)]
    no_not_before: bool,
    /// Let the token be used from anywhere
    #[arg(long)]
    from_anywhere: bool,
    /// Remove the rate limit
    #[arg(long)]
    no_rate_limit: bool,
    /// Remove all tags
    #[arg(long)]
    no_tags: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let (id, json) = (arguments.id, arguments.json);
    let patch = arguments.patch()?;
    let token = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.tokens().update(&session.context(), id, None, patch).await?)
    })
    .await?;
    told(&token, "was updated", json)
}

impl Args {
    fn patch(self) -> Result<TokenPatch, Failure> {
        let grants = self.scope.as_deref().map(|scopes| pairs(&[], scopes)).transpose()?.flatten();
        let not_before = match self.not_before {
            Some(moment) => Edit::Set(moment),
            None if self.cleared.no_not_before => Edit::Remove,
            None => Edit::Keep,
        };
        let rate_limit = match self.rate_limit {
            Some(limit) => Edit::Set(Ok(limit)),
            None if self.cleared.no_rate_limit => Edit::Remove,
            None => Edit::Keep,
        };
        Ok(TokenPatch {
            name: self.name,
            description: self.description,
            user: self.owner,
            scopes: if grants.is_some() { None } else { self.scope },
            grants,
            expiry: self.expires_in.as_deref().map(expiry::parse),
            not_before,
            rate_limit,
            ip_allow: self.ip_allow.or_else(|| self.cleared.from_anywhere.then(Vec::new)),
            tags: self
                .tag
                .or_else(|| self.cleared.no_tags.then(Vec::new))
                .map(|pairs| pairs.into_iter().collect()),
            enabled: None,
        })
    }
}
