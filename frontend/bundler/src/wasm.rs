//! The WebAssembly of the console and the JavaScript that binds it to the browser.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wasm_bindgen_cli_support::Bindgen;

use crate::{cache::hash, mode::Mode, progress::Progress, root::Root};

/// Changes whenever the same WebAssembly would give other bindings.
const BINDINGS_VERSION: &[u8] = b"wasm-bindgen 0.2.130, web, 1";

/// What wasm-bindgen makes.
pub(crate) struct Bindings {
    /// The ES module that instantiates the WebAssembly.
    pub(crate) js: Vec<u8>,
    /// The WebAssembly.
    pub(crate) wasm: Vec<u8>,
    /// Modules that the ES module imports from `./snippets/`, by their paths there.
    pub(crate) snippets: BTreeMap<String, Vec<u8>>,
}

/// Compiles the crate `frontend` and makes its bindings.
pub(crate) fn build(root: &Root, mode: Mode, progress: &Progress) -> Result<Bindings> {
    progress.say("wasm", &format!("cargo build -p frontend --profile {}", mode.profile()));
    let compiled = compile(root, mode)?;
    let content = fs::read(&compiled).with_context(|| compiled.display().to_string())?;

    let folder = root.join("target/bundler/bindings").join(mode.profile());
    let key = hash(&[BINDINGS_VERSION, &content]);
    let key_file = folder.join("key");
    if fs::read_to_string(&key_file).is_ok_and(|present| present == key) {
        return read(&folder);
    }
    progress.say("wasm", "wasm-bindgen");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    bind(&content, mode, &folder)?;
    let bindings = read(&folder)?;
    // Last, so that an interrupted run is not mistaken for a complete one.
    fs::write(&key_file, key)?;
    Ok(bindings)
}

/// Runs Cargo in a call of its own (together with the server, features would unify) and returns
/// the path of the WebAssembly, as Cargo tells it.
fn compile(root: &Root, mode: Mode) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root.join("."))
        .args(["build", "--package", "frontend", "--target", "wasm32-unknown-unknown"])
        .args(["--profile", mode.profile(), "--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("the crate `frontend` does not compile for wasm32-unknown-unknown");
    }
    artifact(&String::from_utf8_lossy(&output.stdout))
        .context("cargo told of no WebAssembly of the crate `frontend`")
}

/// The WebAssembly among Cargo's messages (one JSON object in each line).
fn artifact(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["target"]["name"] == "frontend"
        })
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|path| path.extension().is_some_and(|ending| ending == "wasm"))
}

fn bind(content: &[u8], mode: Mode, folder: &Path) -> Result<()> {
    Bindgen::new()
        .input_bytes("frontend", content.to_vec())
        .web(true)?
        .typescript(false)
        // The loader names the WebAssembly; without a default, no unhashed name is left in the text.
        .omit_default_module_path(true)
        .remove_name_section(mode == Mode::Release)
        .remove_producers_section(true)
        .generate(folder)
        .context("wasm-bindgen failed")
}

fn read(folder: &Path) -> Result<Bindings> {
    let read = |name: &str| fs::read(folder.join(name)).with_context(|| format!("no {name}"));
    Ok(Bindings {
        js: read("frontend.js")?,
        wasm: read("frontend_bg.wasm")?,
        snippets: crate::site::read_folder(&folder.join("snippets"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_is_found_among_other_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"app"},"filenames":["/t/libapp.rlib"]}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"frontend"},"filenames":["/t/frontend.wasm"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(artifact(messages), Some(PathBuf::from("/t/frontend.wasm")));
        assert_eq!(artifact("{}"), None);
    }
}
