//! `tessera token show ID`.

use domain::{
    ids::TokenId,
    token::{Stop, Token},
};

use super::{id, moment};
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let token = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.tokens().show(&session.context(), arguments.id).await?)
    })
    .await?;
    if arguments.json { Ok(output::json(&token)?) } else { Ok(output::pairs(&pairs(&token))?) }
}

fn pairs(token: &Token) -> Vec<(&'static str, String)> {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let user = &token.user;
    let created_by =
        token.created_by.as_ref().map(|user| format!("{} <{}>", user.name, user.email));
    let older = token
        .older_hint
        .as_ref()
        .map(|hint| format!("{hint} until {}", moment(token.grace_until, "now")));
    let pairs: Vec<String> =
        token.grants.pairs().map(|(audience, scope)| format!("{audience}/{scope}")).collect();
    let tags: Vec<String> =
        token.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        ("ID", token.id.to_string()),
        ("Number", token.num.to_string()),
        ("Name", token.name.clone()),
        ("Description", or_dash(token.description.to_string())),
        ("Workspace", token.workspace.to_string()),
        ("State", token.state.as_str().to_owned()),
        ("Hint", token.hint.clone()),
        ("Acts as", format!("{} <{}>", user.name, user.email)),
        ("Created by", created_by.unwrap_or_else(|| "command line".to_owned())),
        (
            "Created by token",
            token.parent.map_or_else(|| "-".to_owned(), |parent| parent.to_string()),
        ),
        ("Disabled by", stop(token.disabled_by.as_ref())),
        ("Expired by", stop(token.ended_by.as_ref())),
        ("Audiences", or_dash(join(&token.audiences))),
        ("Scopes", or_dash(pairs.join(" "))),
        (
            "Allowed from",
            if token.ip_allow.is_empty() { "anywhere".to_owned() } else { join(&token.ip_allow) },
        ),
        (
            "Rate limit",
            token.rate_limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
        ),
        ("Not before", moment(token.not_before, "-")),
        ("Expires", moment(token.expires_at, "never")),
        ("Recoverable", if token.recoverable { "yes" } else { "no" }.to_owned()),
        ("Tags", or_dash(tags.join(" "))),
        ("Rotated", moment(token.rotated_at, "never")),
        ("Old secret", older.unwrap_or_else(|| "-".to_owned())),
        ("Reused", moment(token.reused_at, "never")),
        ("Last used", moment(token.last_used_at, "never")),
        ("Created", moment(Some(token.created_at), "-")),
        ("Updated", moment(Some(token.updated_at), "-")),
    ]
}

fn stop(stop: Option<&Stop>) -> String {
    match stop {
        None => "-".to_owned(),
        Some(Stop { user: Some(user), standing }) => {
            format!("{} <{}>, as {}", user.name, user.email, standing.as_str())
        }
        Some(Stop { user: None, standing }) => standing.as_str().to_owned(),
    }
}

fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
