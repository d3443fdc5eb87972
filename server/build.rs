//! Makes sure that the folder of the console's files exists, and that a release build embeds its
//! current files.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    let site = Path::new("../target/site");
    if let Err(error) = fs::create_dir_all(site) {
        println!("cargo::error={} cannot be created: {error}", site.display());
    }
    // A debug build reads the files when they are requested, so they need no rebuild.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed={}", site.display());
        if !site.join("manifest.json").is_file() {
            println!(
                "cargo::warning=target/site is empty: the console will have no styles and no \
                 scripts (make build creates both)"
            );
        }
    }
}
