//! Plain Go, which writes core modules for WASI preview 1.

use std::path::Path;
use std::process::Command;

use super::{Job, ask, compile, read, scratch};
use crate::exit::Failure;

/// The first version with `go:wasmexport` in reactors and weak pointers that the SDK needs.
const LEAST: (u32, u32) = (1, 24);
const GET_GO: &str = "install Go 1.24 or later from https://go.dev/dl";

pub(super) fn core_module(job: Job<'_>) -> Result<Vec<u8>, Failure> {
    check_version(job.dir)?;
    let (_dir, module) = scratch()?;
    let mut go = Command::new("go");
    go.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false"]);
    // What Go tells of a panic has files and lines either way.
    go.arg("-ldflags=-s").arg("-o").arg(&module).arg(".");
    go.env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .current_dir(job.dir);
    compile(&mut go, GET_GO)?;
    read(&module)
}

fn check_version(dir: &Path) -> Result<(), Failure> {
    let found = ask(Command::new("go").args(["env", "GOVERSION"]).current_dir(dir));
    let found = found.ok_or_else(|| Failure::new(format!("go is missing or does not run: {GET_GO}")))?;
    match version(&found) {
        Some(version) if version < LEAST => {
            Err(Failure::new(format!("{found} is too old for plugins: {GET_GO}")))
        }
        // A version of its own making is taken for a new one.
        _ => Ok(()),
    }
}

/// Major and minor number of `go1.24.3` and its like.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("go")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_read() {
        for (text, expected) in [
            ("go1.24.3", Some((1, 24))),
            ("go1.9", Some((1, 9))),
            ("go1.25rc1", Some((1, 25))),
            ("devel go1.26-abc", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
        assert!((1, 9) < LEAST);
    }
}
