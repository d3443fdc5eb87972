//! Builds the files of the console that the server embeds: `target/site`.
//!
//! ```text
//! cargo run -p bundler -- [--release | --quick | --dev]
//! ```
//!
//! ```text
//! target/site/manifest.json        the addresses below that pages need: js, wasm, css, loader
//! target/site/assets/NAME-HASH.*   named by their content: a browser may keep them forever
//! target/site/*                    public/ as it is
//! …each compressible one also as .br and .gz
//! ```
//!
//! Invariants:
//! - `target/site` is replaced as a whole, so that a partial site is never visible. It is replaced
//!   only if it changed, so that the server is not rebuilt unnecessarily.
//! - Slow results (WebAssembly bindings, compression) are cached in `target/bundler` by the hash of
//!   their input.
//!
//! To add a file: create it here and pass it to [`site::Site::add_hashed`].

mod cache;
mod compress;
mod mode;
mod progress;
mod root;
mod site;
mod style;
mod wasm;

use std::{env, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::{mode::Mode, progress::Progress, root::Root, site::Site};

fn main() -> ExitCode {
    let progress = Progress::start();
    match run(&progress) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress.say("failed", &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(progress: &Progress) -> Result<()> {
    let mode = mode_of_arguments(env::args().skip(1))?;
    let root = Root::find()?;

    let bindings = wasm::build(&root, mode, progress)?;
    let style = style::bundle(&root.join("style/main.css"))?;
    let loader = root.read("frontend/loader.js")?;

    let mut site = Site::default();
    site.add_hashed("js", "frontend.js", bindings.js);
    site.add_hashed("wasm", "frontend.wasm", bindings.wasm);
    site.add_hashed("css", "main.css", style.into_bytes());
    site.add_hashed("loader", "loader.js", loader);
    for (path, content) in bindings.snippets {
        site.add(format!("assets/snippets/{path}"), content);
    }
    site.add_folder(&root.join("public")).context("public/ cannot be read")?;

    compress::add_compressed(&mut site, &root, mode, progress)?;
    site.report(progress);
    if site.install(&root)? {
        progress.say("site", "target/site is new");
    } else {
        progress.say("site", "target/site was up to date");
    }
    Ok(())
}

fn mode_of_arguments(arguments: impl Iterator<Item = String>) -> Result<Mode> {
    let mut mode = Mode::Release;
    for argument in arguments {
        let Some(named) = Mode::of_option(&argument) else {
            bail!("unknown argument {argument}; usage: bundler [--release | --quick | --dev]");
        };
        mode = named;
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Mode> {
        mode_of_arguments(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn arguments_without_a_mode_mean_release() {
        assert_eq!(parse(&[]).unwrap(), Mode::Release);
        assert_eq!(parse(&["--quick"]).unwrap(), Mode::Quick);
        assert_eq!(parse(&["--dev"]).unwrap(), Mode::Dev);
    }

    #[test]
    fn arguments_with_an_unknown_word_are_refused() {
        assert!(parse(&["--fast"]).is_err());
    }
}
