//! Verifies the modules of plugins.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strandline_core::disk::{Disk, EntryKind};
use strandline_core::metadata::PluginRegistry;
use strandline_core::plugin::Sha256;
use strandline_storage_backends::check::{Finding, LEFT_ALONE, REMOVED, UNREADABLE};

use crate::plugins::{MODULES_DIRECTORY, ModuleFileError, PLUGINS_DIRECTORY, module_of, read_module};

/// What to do about a module that is not what it was.
const PUSH_AGAIN: &str =
    "push the same file of the plugin again, or restore the data directory from a backup";

/// Looks at every module below a data directory, and for those that the metadata, if it can be read, says are there.
pub(super) fn check_plugins(
    disk: &dyn Disk,
    data_dir: &Path,
    registry: Option<&PluginRegistry>,
    found: &mut dyn FnMut(Finding),
) {
    let directory = data_dir.join(PLUGINS_DIRECTORY).join(MODULES_DIRECTORY);
    let entries = match disk.list(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let problem = format!("cannot be read: {error}");
            return found(Finding::damage(directory, problem, UNREADABLE));
        }
        Ok(entries) => entries,
    };
    let mut there = BTreeSet::new();
    for entry in entries {
        let path = directory.join(&entry.name);
        let named = module_of(&entry.name).filter(|_| entry.kind == EntryKind::File);
        let Some((sum, is_unfinished)) = named else {
            found(Finding::harmless(
                path,
                "this is no file of the broker's",
                LEFT_ALONE,
            ));
            continue;
        };
        let file = ModuleFile {
            path,
            sum,
            is_unfinished,
        };
        if file.check(disk, registry, found) {
            there.insert(sum);
        }
    }
    for (sum, problem) in missing(registry, &there) {
        found(Finding::damage(
            directory.join(format!("{sum}.wasm")),
            problem,
            PUSH_AGAIN,
        ));
    }
}

/// A file with the name of a module.
struct ModuleFile {
    path: PathBuf,
    sum: Sha256,
    is_unfinished: bool,
}

impl ModuleFile {
    /// Looks at it, and tells whether the module of the metadata is there with it.
    fn check(
        &self,
        disk: &dyn Disk,
        registry: Option<&PluginRegistry>,
        found: &mut dyn FnMut(Finding),
    ) -> bool {
        let Self { path, sum, .. } = self;
        let is_known = registry.is_none_or(|registry| registry.has_bytes(sum));
        if self.is_unfinished {
            let advice = "nothing: the next start of the broker finishes the push or removes it";
            found(Finding::harmless(
                path,
                "the push of a plugin was interrupted",
                advice,
            ));
            // Of a command that was applied it is the module.
            return is_known && read_module(disk, path, sum).is_ok();
        }
        if is_known {
            found_damage(disk, path, sum, found);
        } else {
            found(stray(path, sum, registry));
        }
        is_known
    }
}

/// The modules that the metadata says are there and that are not.
fn missing(registry: Option<&PluginRegistry>, there: &BTreeSet<Sha256>) -> Vec<(Sha256, String)> {
    let modules = registry.into_iter().flat_map(PluginRegistry::modules);
    let versions = modules.flat_map(|module| module.versions.iter().map(|version| (&module.name, version)));
    versions
        .filter(|(_, version)| !there.contains(&version.facts.sha256))
        .map(|(name, version)| {
            let problem = format!("version {} of plugin {name} is missing", version.number);
            (version.facts.sha256, problem)
        })
        .collect()
}

fn found_damage(disk: &dyn Disk, path: &Path, sum: &Sha256, found: &mut dyn FnMut(Finding)) {
    match read_module(disk, path, sum) {
        Ok(_) => {}
        Err(ModuleFileError::Damaged { problem, .. }) => found(Finding::damage(path, problem, PUSH_AGAIN)),
        Err(error) => {
            let problem = crate::streams::describe(&error);
            found(Finding::damage(path, problem, UNREADABLE));
        }
    }
}

fn stray(path: &Path, sum: &Sha256, registry: Option<&PluginRegistry>) -> Finding {
    if registry.is_some_and(|registry| registry.is_pending_removal(sum)) {
        Finding::harmless(path, "a plugin that was deleted", REMOVED)
    } else {
        Finding::harmless(path, "no plugin of the metadata has these bytes", LEFT_ALONE)
    }
}
