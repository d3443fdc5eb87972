//! `tessera token usage ID`: shows how often a token was presented, hour by hour.

use domain::{
    ids::TokenId,
    usage::{HOURS_MAX, TokenUsage},
};
use time::Duration;

use super::{id, moment};
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
    /// The number of hours, including the current one: 1 to 720
    #[arg(long, default_value = "24", value_parser = clap::value_parser!(u16).range(1..=i64::from(HOURS_MAX)))]
    hours: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let usage = session::with(&config, Expect::Existing, async |session| {
        let tokens = session.authority.tokens();
        Ok(tokens.usage(&session.context(), arguments.id, arguments.hours).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&usage)?);
    }
    output::table(&["HOUR", "ALLOWED", "REFUSED"], &rows(&usage))?;
    remark(&match &usage.last {
        None => "The token has never been used.".to_owned(),
        Some(last) => output::plain(&format!(
            "Last used: {} from {} by {}",
            moment(Some(last.at), "-"),
            last.ip.map_or("an unknown address".to_owned(), |ip| ip.to_string()),
            last.agent.as_deref().unwrap_or("an unknown client"),
        )),
    });
    Ok(())
}

/// Returns a row for each hour in which the token was presented.
fn rows(usage: &TokenUsage) -> Vec<Vec<String>> {
    let counts = usage.allowed.iter().zip(&usage.refused).zip(0_i64..);
    counts
        .filter(|((allowed, refused), _)| **allowed + **refused > 0)
        .map(|((allowed, refused), hour)| {
            let begins = moment(Some(usage.from + Duration::hours(hour)), "-");
            vec![begins, allowed.to_string(), refused.to_string()]
        })
        .collect()
}
