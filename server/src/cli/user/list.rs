//! `tessera user list`: lists all pages.

use domain::user::{USERS_LIMIT_MAX, User, UserQuery};

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
    /// Only users whose name or address contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    search: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let mut query =
        UserQuery { q: arguments.search, limit: USERS_LIMIT_MAX, ..UserQuery::default() };
    let users = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        let mut users: Vec<User> = Vec::new();
        loop {
            let page = session.authority.users().list(&context, &query).await?;
            users.extend(page.items);
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(users),
            }
        }
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&users)?);
    }
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            vec![
                user.summary.id.to_string(),
                user.summary.email.clone(),
                user.summary.name.clone(),
                user.kind.to_string(),
                user.instance_role.to_string(),
                if user.enabled { "yes" } else { "no" }.to_owned(),
                user.tokens.to_string(),
            ]
        })
        .collect();
    Ok(output::table(&["ID", "EMAIL", "NAME", "KIND", "ROLE", "ENABLED", "TOKENS"], &rows)?)
}
