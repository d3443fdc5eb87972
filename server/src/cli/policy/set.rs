//! `tessera policy set RULE=VALUE…`: changes only the rules that are named.

use domain::names::Slug;

use super::{level, preview_text, rule::Assignment};
use crate::{
    cli::{
        Failure,
        session::{self, Expect},
        slug,
    },
    config::Config,
    output::{self, remark},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace [default: the instance]
    #[arg(long, value_parser = slug)]
    workspace: Option<Slug>,
    #[arg(
        required = true,
        value_name = "RULE=VALUE",
        help = "A rule, such as max_ttl_s=270d or self_service=true; max_tokens= clears the rule, so that the level above decides"
    )]
    rules: Vec<Assignment>,
    /// Show what would change without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let level = level(arguments.workspace);
    session::with(&config, Expect::Existing, async |session| {
        let (context, policies) = (session.context(), session.authority.policies());
        let before = policies.show(&context, &level).await?;
        let mut rules = before.rules;
        for assignment in &arguments.rules {
            assignment.apply(&mut rules).map_err(Failure::Usage)?;
        }
        let preview = policies.preview(&context, &level, &rules).await?;
        if arguments.dry_run {
            if arguments.json {
                return Ok(output::json(&preview)?);
            }
            return Ok(output::text(preview_text(&preview).as_bytes())?);
        }
        let view = policies.change(&context, &level, rules, Some(before.version)).await?;
        if arguments.json {
            output::json(&view)?;
        } else {
            output::text(preview_text(&preview).as_bytes())?;
        }
        remark("Changed the policy.");
        Ok(())
    })
    .await
}
