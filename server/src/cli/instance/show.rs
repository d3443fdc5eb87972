//! `tessera instance show`.

use std::time::Duration;

use domain::replica::Replica;

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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let view = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.replicas().list(&session.context()).await?)
    })
    .await?;
    if arguments.json {
        return Ok(output::json(&view)?);
    }
    output::pairs(&[
        ("Version", view.version),
        ("Database", format!("PostgreSQL {}", view.database_version)),
    ])?;
    if view.replicas.is_empty() {
        return Ok(output::line("No servers are running.")?);
    }
    let time =
        |microseconds: Option<i64>| microseconds.map_or_else(|| "-".to_owned(), milliseconds);
    let rows: Vec<Vec<String>> = view
        .replicas
        .iter()
        .map(|replica: &Replica| {
            vec![
                replica.name.clone(),
                replica.state(view.now).as_str().to_owned(),
                replica.version.clone(),
                output::moment(Some(replica.started_at), ""),
                format!("{:.1} s", replica.lease_age(view.now).as_seconds_f64()),
                format!("{} (-{})", replica.applied, replica.behind),
                replica.revocations.to_string(),
                time(replica.revocation_p50_us),
                time(replica.revocation_p99_us),
            ]
        })
        .collect();
    let headings =
        ["SERVER", "STATE", "VERSION", "STARTED", "LEASE", "REVISION", "REVOCATIONS", "P50", "P99"];
    Ok(output::table(&headings, &rows)?)
}

fn milliseconds(microseconds: i64) -> String {
    let time = Duration::from_micros(u64::try_from(microseconds).unwrap_or_default());
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
