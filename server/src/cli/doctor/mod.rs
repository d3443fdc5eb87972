//! `tessera doctor`: prints one line per check, each with what to do. Exits with status 1 if a
//! check failed.
//!
//! It changes nothing: it neither starts a stopped database nor creates a missing folder.

mod checks;
mod people;

use serde::Serialize;

use super::{Failure, flags::ServerFlags};
use crate::{
    config::{Config, ConfigError},
    output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

impl Args {
    /// Returns the server's flags. The checks apply to a server that starts with them.
    pub(super) const fn server(&self) -> &ServerFlags {
        &self.server
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// A line of the output.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into() }
    }

    fn warn(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, detail: detail.into() }
    }

    fn fail(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, detail: detail.into() }
    }
}

pub(super) async fn run(
    arguments: Args,
    config: Result<Config, ConfigError>,
) -> Result<(), Failure> {
    let findings = match config {
        Ok(config) => {
            let file = config.file().map_or_else(
                || "no configuration file".to_owned(),
                |file| file.display().to_string(),
            );
            let mut findings = vec![Finding::ok("configuration", file)];
            findings.extend(checks::all(&config).await);
            findings
        }
        Err(error) => vec![Finding::fail("configuration", error.to_string())],
    };
    if arguments.json {
        output::json(&findings)?;
    } else {
        for finding in &findings {
            let verdict = match finding.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "fail",
            };
            output::line(&format!(
                "{verdict}  {:14}  {}",
                finding.check,
                output::plain(&finding.detail)
            ))?;
        }
    }
    if findings.iter().any(|finding| finding.verdict == Verdict::Fail) {
        return Err(Failure::Told);
    }
    Ok(())
}
