//! Reads the source of a catalogue, and reports the changes.

use std::{fs, io::Read as _, path::Path};

use authority::LoadOptions;
use domain::catalogue::{Catalogue, CatalogueChanges, ScopeUses};

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::{self, remark},
};

/// The options for loading a catalogue, the same for every source.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Loading {
    /// Only show what would change, and which tokens would lose scopes
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Retire missing scopes that tokens have, instead of refusing the catalogue
    #[arg(long)]
    pub(super) retire: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Reads a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        fs::read_to_string(path).map(|content| text = content)
    };
    read.map_err(|error| Failure::new(format_args!("cannot read {}: {error}", path.display())))?;
    Ok(text)
}

/// Loads a catalogue and reports the changes.
pub(super) async fn load(
    catalogue: Catalogue,
    loading: Loading,
    config: &Config,
) -> Result<(), Failure> {
    let options = LoadOptions { dry_run: loading.dry_run, retire: loading.retire, expected: None };
    let changes = session::with(config, Expect::Existing, async |session| {
        Ok(session.authority.catalogues().load(&session.context(), catalogue, options).await?)
    })
    .await?;
    if loading.json { Ok(output::json(&changes)?) } else { tell(&changes) }
}

fn tell(changes: &CatalogueChanges) -> Result<(), Failure> {
    let CatalogueChanges { audience, added, changed, retired, removed, .. } = changes;
    let verb = if changes.dry_run { "Would load" } else { "Loaded" };
    remark(&format!(
        "{verb} the catalogue of audience {audience}. Scopes: {} added, {} changed, {} removed, {} \
         retired.",
        added.len(),
        changed.len(),
        removed.len(),
        retired.len()
    ));
    if changes.dry_run {
        let kinds =
            [("added", added), ("changed", changed), ("removed", removed), ("retired", retired)];
        let rows: Vec<Vec<String>> = kinds
            .into_iter()
            .flat_map(|(kind, names)| {
                names.iter().map(move |name| vec![kind.to_owned(), name.to_string()])
            })
            .collect();
        output::table(&["CHANGE", "SCOPE"], &rows)?;
    }
    tell_uses(&changes.uses, changes.dry_run)
}

/// Reports which tokens lose scopes.
pub(super) fn tell_uses(uses: &ScopeUses, dry_run: bool) -> Result<(), Failure> {
    let verb = if dry_run { "would lose" } else { "lose" };
    match uses.count {
        0 => remark(&format!("No token {} scopes.", if dry_run { "would lose" } else { "loses" })),
        1 => remark(&format!("1 token {} scopes:", if dry_run { "would lose" } else { "loses" })),
        count => remark(&format!("{count} tokens {verb} scopes:")),
    }
    if uses.tokens.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = uses
        .tokens
        .iter()
        .map(|token| {
            vec![
                token.id.to_string(),
                token.name.clone(),
                token.workspace.to_string(),
                token.user.clone(),
            ]
        })
        .collect();
    Ok(output::table(&["TOKEN", "NAME", "WORKSPACE", "USER"], &rows)?)
}
