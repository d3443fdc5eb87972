//! `tessera preset apply NAME`: shows the changes, and applies them with `--yes` or after
//! confirmation.

use authority::PolicyLevel;
use domain::{names::Slug, preset::Preset};

use crate::{
    cli::{
        Failure, ask,
        policy::{level, preview_text},
        session::{self, Expect},
    },
    config::Config,
    output::{self, remark},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(help = "The preset: standard, rivery, devo, kriten or robust_intelligence")]
    name: Preset,
    /// The workspace [default: the instance, which means all workspaces]
    #[arg(long, value_parser = super::super::slug)]
    workspace: Option<Slug>,
    /// Apply the preset without asking for confirmation
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let level = level(arguments.workspace.clone());
    let preset = arguments.name;
    session::with(&config, Expect::Existing, async |session| {
        let (context, policies) = (session.context(), session.authority.policies());
        let preview = policies.preview_preset(&context, &level, preset).await?;
        if !arguments.json {
            output::text(preview_text(&preview).as_bytes())?;
        }
        let question = format!("Apply preset {preset} to {}?", name(&level));
        let apply = arguments.yes || (ask::can_ask() && ask::confirm(&question).await);
        let view = if apply {
            let expected = Some(preview.version);
            Some(policies.apply_preset(&context, &level, preset, expected).await?)
        } else {
            None
        };
        if arguments.json {
            output::json(&serde_json::json!({
                "preset": preset, "applied": apply, "preview": preview, "policy": view,
            }))?;
        }
        if !apply {
            let line = "nothing was changed; pass --yes to apply the preset without confirmation";
            return Err(Failure::new(line));
        }
        remark(&format!("Applied preset {preset} to {}.", name(&level)));
        Ok(())
    })
    .await
}

fn name(level: &PolicyLevel) -> String {
    match level {
        PolicyLevel::Instance => "the instance".to_owned(),
        PolicyLevel::Workspace(slug) => format!("workspace {slug}"),
    }
}
