//! The WebAssembly of the console, and the JavaScript that binds it to the browser.

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

/// A part of the cache key. Change it whenever the same WebAssembly would produce other bindings.
const BINDINGS_VERSION: &[u8] = b"wasm-bindgen 0.2.130, web, 3";

/// The output of wasm-bindgen.
pub(crate) struct Bindings {
    /// The ES module that instantiates the WebAssembly.
    pub(crate) js: Vec<u8>,
    /// The WebAssembly.
    pub(crate) wasm: Vec<u8>,
    /// Modules that the ES module imports from `./snippets/`, by their paths there.
    pub(crate) snippets: BTreeMap<String, Vec<u8>>,
}

/// Compiles the crate `frontend` and creates its bindings.
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
    // The key is written last, so that an interrupted run does not look complete.
    fs::write(&key_file, key)?;
    Ok(bindings)
}

/// Runs Cargo in a separate call, because features would unify with the server's. Returns the path
/// of the WebAssembly that Cargo reports.
fn compile(root: &Root, mode: Mode) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root.join("."))
        .args(["build", "--package", "frontend", "--target", "wasm32-unknown-unknown"])
        .args(["--profile", mode.profile(), "--message-format", "json-render-diagnostics"])
        .args(["--config", &format!("build.rustflags={}", short_paths(root)?)])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("the crate `frontend` does not compile for wasm32-unknown-unknown");
    }
    artifact(&String::from_utf8_lossy(&output.stdout))
        .context("cargo reported no WebAssembly file of the crate `frontend`")
}

/// Returns flags that shorten the paths of source files in panic messages. Browsers then don't load
/// these paths and don't learn where the sources are on this machine. The result is a TOML array,
/// which Cargo appends to the configured flags.
fn short_paths(root: &Root) -> Result<String> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let registries = cargo_home.map(|home| home.join("registry/src")).into_iter();
    let mut folders = vec![root.join("")];
    for entry in registries.filter_map(|folder| fs::read_dir(folder).ok()).flatten() {
        folders.push(entry?.path().join(""));
    }
    let flags: Vec<String> = folders
        .iter()
        .filter_map(|folder| folder.to_str())
        .map(|folder| format!("--remap-path-prefix={folder}="))
        .collect();
    // A JSON array of strings is also a TOML array.
    Ok(serde_json::to_string(&flags)?)
}

/// Returns the path of the WebAssembly from Cargo's messages (one JSON object per line).
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
    // Validation is off: the compiler's output is well-formed, and skipping the check halves
    // the time.
    let module = walrus::ModuleConfig::new()
        .strict_validate(false)
        .generate_name_section(mode == Mode::Dev)
        .generate_producers_section(false)
        .parse(content)
        .context("the compiler's output is not valid WebAssembly")?;
    Bindgen::new()
        .input_module("frontend", module)
        .web(true)?
        .typescript(false)
        // The loader names the WebAssembly. Without a default path, the script contains no
        // unhashed name.
        .omit_default_module_path(true)
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
    fn artifact_is_found_among_other_cargo_messages() {
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
