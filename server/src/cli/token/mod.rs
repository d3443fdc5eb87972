//! `tessera token …`.

mod create;
mod delete;
mod disable;
mod enable;
mod end_grace;
mod expire;
mod export;
mod import;
mod list;
mod reveal;
mod rotate;
mod show;
mod update;
mod usage;

use std::collections::BTreeMap;

use clap::Subcommand;
use domain::{held::split_pair, ids::TokenId, token::Token};

use super::{Failure, slug};
use crate::{
    config::Config,
    output::{self, moment},
};

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print its secret, which is shown only once
    Create(create::Args),
    /// List the tokens of a workspace
    List(list::Args),
    /// Show a token without its secret
    Show(show::Args),
    /// Change a token's record, such as its name, its expiry, its owner or fewer scopes
    Update(update::Args),
    /// Enable a token
    Enable(Change),
    /// Disable a token: it is refused everywhere until it is enabled again
    Disable(disable::Args),
    /// Expire a token now; it stays listed
    Expire(Change),
    /// Give a token a new secret and print it; the secret is shown only once
    Rotate(rotate::Args),
    /// Revoke the old secret of a rotated token now
    EndGrace(Change),
    /// Print the secret of a recoverable token
    Reveal(reveal::Args),
    /// Show how often a token was presented
    Usage(usage::Args),
    /// Delete a token permanently: it can never be used again
    Delete(delete::Args),
    /// Import tokens that another system stores as SHA-256 digests
    Import(import::Args),
    /// Print the records of all tokens of a workspace, without digests or secrets
    Export(export::Args),
}

/// Arguments of a change that needs only the token.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// The token's ID
    #[arg(value_parser = id)]
    id: TokenId,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create::run(arguments, config).await,
        Command::List(arguments) => list::run(arguments, config).await,
        Command::Show(arguments) => show::run(arguments, config).await,
        Command::Update(arguments) => update::run(arguments, config).await,
        Command::Enable(arguments) => enable::run(arguments, config).await,
        Command::Disable(arguments) => disable::run(arguments, config).await,
        Command::Expire(arguments) => expire::run(arguments, config).await,
        Command::Rotate(arguments) => rotate::run(arguments, config).await,
        Command::EndGrace(arguments) => end_grace::run(arguments, config).await,
        Command::Reveal(arguments) => reveal::run(arguments, config).await,
        Command::Usage(arguments) => usage::run(arguments, config).await,
        Command::Delete(arguments) => delete::run(arguments, config).await,
        Command::Import(arguments) => import::run(arguments, config).await,
        Command::Export(arguments) => export::run(arguments, config).await,
    }
}

/// Parses a token's ID.
fn id(text: &str) -> Result<TokenId, String> {
    text.parse().map_err(|_| "not a token ID; tessera token list shows the IDs".to_owned())
}

/// Reports a change of a token: as JSON on standard output, or in a sentence on standard error.
fn told(token: &Token, what: &str, json: bool) -> Result<(), Failure> {
    if json {
        output::json(token)?;
    } else {
        output::remark(&format!("Token {} ({}) {what}.", token.name, token.id));
    }
    Ok(())
}

/// Returns a sentence on whether a token's secret can be shown again.
const fn shown(token: &Token) -> &'static str {
    if token.recoverable {
        "To print its secret again, run tessera token reveal."
    } else {
        "Its secret is shown only once."
    }
}

/// Parses a tag.
fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("must be KEY=VALUE".to_owned()),
    }
}

/// Returns the scopes by audience if they name their audiences, as in `vault/tokens:write`, or
/// `None` if none does. An audience without any scope is still part of the result.
fn pairs(
    audiences: &[String],
    scopes: &[String],
) -> Result<Option<BTreeMap<String, Vec<String>>>, Failure> {
    let pairs: Vec<_> = scopes.iter().filter_map(|scope| split_pair(scope)).collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    if pairs.len() < scopes.len() {
        return Err(Failure::new(
            "name the audience of every scope, as in default/rivers:read, or of none of them",
        ));
    }
    let mut grants: BTreeMap<String, Vec<String>> =
        audiences.iter().map(|audience| (audience.clone(), Vec::new())).collect();
    for (audience, scope) in pairs {
        grants.entry(audience.to_owned()).or_default().push(scope.to_owned());
    }
    Ok(Some(grants))
}

/// Parses a duration into seconds.
fn seconds(text: &str) -> Result<i64, String> {
    const FORM: &str = "must be a duration such as 30s, 15m, 12h or 7d";
    let (count, unit) = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)]
        .iter()
        .find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, *unit)))
        .ok_or(FORM)?;
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse::<i64>().ok().filter(|_| digits).ok_or(FORM)?;
    count.checked_mul(unit).ok_or_else(|| FORM.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed_in_seconds() {
        for (text, length) in
            [("0s", 0), ("30s", 30), ("15m", 900), ("12h", 43_200), ("7d", 604_800)]
        {
            assert_eq!(seconds(text), Ok(length));
        }
        for bad in ["", "s", "7", "-1d", "+1d", "1.5h", "1w", "9223372036854775807d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(tag("team=a=b"), Ok(("team".into(), "a=b".into())));
        assert!(tag("team").is_err());
    }

    #[test]
    fn either_all_or_no_scopes_name_an_audience() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let read = |scopes: &[&str]| pairs(&texts(&["a"]), &texts(scopes));
        assert_eq!(read(&["x:y", "table://a/b"]).unwrap(), None);
        let grants = read(&["b/x:y", "b/table://a/b"]).unwrap().unwrap();
        assert_eq!(grants["a"], [""; 0]);
        assert_eq!(grants["b"], ["x:y", "table://a/b"]);
        assert!(read(&["b/x:y", "x:y"]).is_err());
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>()) {
            let _ = tag(&text);
            prop_assert!(seconds(&text).is_ok_and(|length| length >= 0) || seconds(&text).is_err());
        }
    }
}
