//! What is embedded of the directory `sdk`: enough to build a plugin without a checkout.

use std::io;
use std::path::Path;

use strandline_componentize::World;

use super::language::Language;

/// Names below `sdk`, and bytes.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
/// Where a project keeps its SDK.
pub(super) const DIRECTORY: &str = "strandline";

/// Writes what a project begins with, with its name in place of the templates'.
///
/// # Errors
///
/// The disk refuses.
pub(super) fn write_project(dir: &Path, language: Language, world: World, name: &str) -> io::Result<()> {
    for part in ["common", world.name()] {
        let prefix = format!("templates/{}/{part}/", language.word());
        for (file, bytes) in below(&prefix) {
            let text = String::from_utf8_lossy(bytes);
            let text = text
                .replace("plugin-name", name)
                .replace("plugin_name", &name.replace('-', "_"));
            write(&dir.join(file), text.as_bytes())?;
        }
    }
    for part in language.sdk().iter().chain(&["wit"]) {
        for (file, bytes) in below(&format!("{part}/")) {
            write(&dir.join(DIRECTORY).join(part).join(file), bytes)?;
        }
    }
    Ok(())
}

/// Files below a directory, by their names in it.
fn below(prefix: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES
        .iter()
        .filter_map(move |(name, bytes)| Some((name.strip_prefix(prefix)?, *bytes)))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> &'static str {
        let (_, bytes) = FILES.iter().find(|(file, _)| *file == name).unwrap();
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_project_needs_nothing_of_the_workspace_that_the_sdk_comes_from() {
        for manifest in [
            "rust/Cargo.toml",
            "macros/Cargo.toml",
            "templates/rust/common/Cargo.toml",
        ] {
            assert!(!text(manifest).contains("workspace = true"), "{manifest}");
            assert!(!text(manifest).contains("\"../../"), "{manifest}");
        }
    }

    #[test]
    fn every_language_and_world_has_a_project_with_cases() {
        let dir = tempfile::tempdir().unwrap();
        for language in Language::ALL {
            for world in World::ALL {
                let project = dir.path().join(format!("{}-{world}", language.word()));
                write_project(&project, language, world, "my-plugin").unwrap();
                for file in ["cases.json", ".gitignore", "strandline/wit/plugin.wit"] {
                    assert!(project.join(file).is_file(), "{language:?} {world} {file}");
                }
                assert_eq!(Language::of(&project).unwrap(), language);
                for entry in std::fs::read_dir(&project).unwrap() {
                    let path = entry.unwrap().path();
                    let text = std::fs::read_to_string(&path).unwrap_or_default();
                    let left = text.contains("plugin-name") || text.contains("plugin_name");
                    assert!(!left, "{} names the template", path.display());
                }
            }
        }
    }
}
