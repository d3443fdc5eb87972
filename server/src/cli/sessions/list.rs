//! `tessera session list`: lists all pages.

use domain::session::{SESSIONS_LIMIT_MAX, Session, SessionQuery};

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
    /// Only sessions of this user: e-mail address or ID
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let mut query = SessionQuery { user: arguments.user, limit: SESSIONS_LIMIT_MAX, cursor: None };
    let sessions = session::with(&config, Expect::Existing, async |session| {
        let context = session.context();
        let mut sessions: Vec<Session> = Vec::new();
        loop {
            let page = session.authority.sessions().list(&context, &query).await?;
            sessions.extend(page.items);
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(sessions),
            }
        }
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&sessions)?);
    }
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            vec![
                session.id.to_string(),
                session.user.email.clone(),
                output::moment(Some(session.created_at), ""),
                output::moment(Some(session.last_seen_at), ""),
                session.client_ip.clone().unwrap_or_default(),
                session.user_agent.clone(),
            ]
        })
        .collect();
    Ok(output::table(&["ID", "USER", "SINCE", "LAST SEEN", "ADDRESS", "BROWSER"], &rows)?)
}
