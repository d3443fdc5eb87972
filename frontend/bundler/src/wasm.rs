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
const BINDINGS_VERSION: &[u8] = b"wasm-bindgen 0.2.130, web, 3";

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
        .args(["--config", &format!("build.rustflags={}", short_paths(root)?)])
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

/// Flags that shorten the paths of source files in panic messages: browsers need not load, nor
/// learn, where on this machine they are. A TOML array; Cargo appends it to the configured flags.
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
    // A JSON array of strings is a TOML one.
    Ok(serde_json::to_string(&flags)?)
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
    // Not validated: the compiler's output is well formed, and this halves the time.
    let module = walrus::ModuleConfig::new()
        .strict_validate(false)
        .generate_name_section(mode == Mode::Dev)
        .generate_producers_section(false)
        .parse(content)
        .context("what the compiler made is no WebAssembly")?;
    Bindgen::new()
        .input_module("frontend", module)
        .web(true)?
        .typescript(false)
        // The loader names the WebAssembly; without a default, no unhashed name is left in the text.
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
