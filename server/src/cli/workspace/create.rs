//! `tessera workspace create`: prints the new workspace's slug.

use authority::NewWorkspace;

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
    /// Name for people
    #[arg(long)]
    name: String,
    /// Name in URLs and commands [default: derived from the name]
    #[arg(long)]
    slug: Option<String>,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    session::with(&config, Expect::Existing, async |session| {
        let new = NewWorkspace { slug: arguments.slug, name: arguments.name };
        let workspace = session.authority.workspaces().create(&session.context(), new).await?;
        output::line(workspace.slug.as_ref())?;
        remark(&format!("Created workspace {}.", workspace.name));
        Ok(())
    })
    .await
}
