//! `tessera audit verify`: exits with status 1 and prints a line for each damage if the log was
//! tampered with.
//!
//! Standard output contains the head of each chain. A head that is kept elsewhere and passed as
//! `--head` later proves that the database was not rolled back to an older state.

use authority::KnownHead;

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
    /// The head of a chain as an earlier run printed it; may be given more than once
    #[arg(long, value_name = "CHAIN:SEQ:MAC")]
    head: Vec<KnownHead>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let reports = session::with(&config, Expect::Existing, async |session| {
        Ok(session.authority.audit().verify(&session.context(), &arguments.head).await?)
    })
    .await?;
    let damaged = reports.iter().any(|report| !report.damage.is_empty());
    if arguments.json {
        output::json(&reports)?;
    } else {
        for report in &reports {
            if let Some(head) = &report.head {
                output::line(head)?;
            }
        }
    }
    for report in &reports {
        let name = report.workspace.as_ref().map_or("the instance".to_owned(), ToString::to_string);
        for damage in &report.damage {
            remark(&output::plain(&format!("tessera: {name}: {damage}")));
        }
    }
    if damaged {
        return Err(Failure::Told);
    }
    if !arguments.json {
        let rows: u64 = reports.iter().map(|report| report.rows).sum();
        remark(&format!("{rows} rows in {} chains are unchanged.", reports.len()));
    }
    Ok(())
}
