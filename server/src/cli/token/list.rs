//! `tessera token list`: lists all pages of a workspace's tokens.

use domain::{
    moments,
    names::Slug,
    token::{Token, TokenState},
    token_query::{LIMIT_MAX, TokenQuery, TokenSort},
};
use time::OffsetDateTime;

use super::{moment, slug};
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
    /// The workspace
    #[arg(long, value_parser = slug)]
    workspace: Slug,
    /// Only tokens in this state: active, disabled, expired, scheduled
    #[arg(long)]
    state: Option<TokenState>,
    /// Only tokens whose name, hint or owner contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    search: String,
    /// Only tokens that were never used
    #[arg(long)]
    never_used: bool,
    /// Only tokens that were created before this moment and not used since
    #[arg(long, value_name = "MOMENT", value_parser = moments::parse)]
    unused_since: Option<OffsetDateTime>,
    /// Only tokens that expire before this moment
    #[arg(long, value_name = "MOMENT", value_parser = moments::parse)]
    expires_before: Option<OffsetDateTime>,
    /// Only tokens of this owner: e-mail address or ID
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Only tokens for this audience
    #[arg(long)]
    audience: Option<String>,
    /// Only tokens with this scope
    #[arg(long)]
    scope: Option<String>,
    #[arg(
        long,
        default_value = "newest",
        help = "Sort order: newest, oldest, name, expires, last_used"
    )]
    sort: TokenSort,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let mut query = TokenQuery {
        state: arguments.state,
        q: arguments.search,
        unused_since: arguments.unused_since,
        never_used: arguments.never_used,
        expires_before: arguments.expires_before,
        owner: arguments.owner,
        audience: arguments.audience,
        scope: arguments.scope,
        sort: arguments.sort,
        limit: LIMIT_MAX,
        cursor: None,
    };
    let tokens = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        let mut tokens: Vec<Token> = Vec::new();
        loop {
            let page =
                session.authority.tokens().list(&context, &arguments.workspace, &query).await?;
            tokens.extend(page.items);
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(tokens),
            }
        }
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&tokens)?);
    }
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                token.id.to_string(),
                token.name.clone(),
                token.hint.clone(),
                token.state.as_str().to_owned(),
                token.user.email.clone(),
                moment(token.expires_at, "never"),
                moment(token.last_used_at, "never"),
            ]
        })
        .collect();
    Ok(output::table(&["ID", "NAME", "HINT", "STATE", "USER", "EXPIRES", "LAST USED"], &rows)?)
}
