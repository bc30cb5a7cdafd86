//! Embeds what `strandline plugin new` writes: the SDKs, the contract, and the projects to begin with.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Directories of `sdk` that go into the binary, file by file.
const EMBEDDED: [&str; 6] = ["c", "go", "macros", "rust", "templates", "wit"];

fn main() -> Result<(), Box<dyn Error>> {
    let sdk = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?)
        .join("../sdk")
        .canonicalize()?;
    let mut list = String::from("&[\n");
    for directory in EMBEDDED {
        let directory = sdk.join(directory);
        println!("cargo:rerun-if-changed={}", directory.display());
        for file in files(&directory)? {
            let name = file.strip_prefix(&sdk)?;
            writeln!(list, "    ({name:?}, include_bytes!({file:?})),")?;
        }
    }
    list.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("sdk.rs"), list)?;
    Ok(())
}

/// All files below a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut entries = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if !entry.is_dir() {
            found.push(entry);
        } else if !entry.ends_with("target") {
            found.append(&mut files(&entry)?);
        }
    }
    Ok(found)
}
