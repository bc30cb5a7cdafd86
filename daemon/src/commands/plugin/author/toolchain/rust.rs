//! cargo, which writes components for `wasm32-wasip2`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Job, Lines, ask, compile, read};
use crate::exit::Failure;

const TARGET: &str = "wasm32-wasip2";
const GET_RUST: &str = "install Rust by https://rustup.rs, then `rustup target add wasm32-wasip2`";

pub(super) fn component(job: Job<'_>) -> Result<Vec<u8>, Failure> {
    check_target(job.dir)?;
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(job.dir);
    if job.lines == Lines::Keep {
        cargo
            .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
            .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    }
    let messages = compile(&mut cargo, GET_RUST)?;
    let manifest = job.dir.join("Cargo.toml").canonicalize();
    let manifest = manifest.map_err(|error| Failure::new(format!("cannot find Cargo.toml: {error}")))?;
    read(&artifact(&messages, &manifest)?)
}

/// Whether there is a standard library for the target. Says how to get one where not.
fn check_target(dir: &Path) -> Result<(), Failure> {
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(dir);
    match ask(&mut rustc) {
        Some(directory) if Path::new(&directory).is_dir() => Ok(()),
        Some(_) => Err(Failure::new(format!(
            "Rust has no standard library for {TARGET}: `rustup target add {TARGET}` installs it"
        ))),
        None if ask(Command::new("rustc").arg("--version").current_dir(dir)).is_none() => {
            Err(Failure::new(format!("rustc is missing: {GET_RUST}")))
        }
        None => Err(Failure::new(format!(
            "this Rust does not know the target {TARGET}: `rustup update` installs one that does, 1.88 or later"
        ))),
    }
}

/// A line of what cargo says; lines of other kinds have none of these.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module that cargo built of a package.
fn artifact(messages: &[u8], manifest: &Path) -> Result<PathBuf, Failure> {
    let mut modules: Vec<_> = messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact" && message.manifest_path == manifest)
        .flat_map(|message| message.filenames)
        .filter(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => Ok(module),
        (None, _) => Err(Failure::new(
            "cargo built no module: Cargo.toml of a plugin has [lib] with crate-type = [\"cdylib\"]",
        )),
        (Some(_), false) => Err(Failure::new(
            "cargo built more than one module: keep each plugin in a package of its own",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_of_the_package_itself_is_taken() {
        let messages = br#"
{"reason":"compiler-artifact","manifest_path":"/d/Cargo.toml","filenames":["/t/libd.rlib"]}
{"reason":"compiler-artifact","manifest_path":"/other/Cargo.toml","filenames":["/t/other.wasm"]}
not JSON
{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/p.wasm"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            artifact(messages, Path::new("/p/Cargo.toml")).unwrap(),
            Path::new("/t/p.wasm")
        );
        let failure = artifact(messages, Path::new("/d/Cargo.toml")).unwrap_err();
        assert!(failure.message.contains("cdylib"), "{failure}");
        let twice = messages.repeat(2);
        assert!(artifact(&twice, Path::new("/p/Cargo.toml")).is_err());
    }
}
