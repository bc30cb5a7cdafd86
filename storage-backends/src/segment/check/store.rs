//! The directory of a store, without what is in its logs.

use std::io::ErrorKind;
use std::path::Path;

use strandline_core::LogId;
use strandline_core::disk::{Disk, EntryKind};
use strandline_core::storage::StorageError;

use super::super::files::TEMPORARY;
use super::super::store::{FORMAT, log_of_name};
use super::{FOREIGN, unreadable};
use crate::check::{Finding, Inspector, LEFT_ALONE, NEWER, REMOVED, UNREADABLE};
use crate::directory::{FORMAT_FILE, LOCK_FILE};

/// Looks at the directory of a store of segment files, but not at its logs; says which there are.
pub fn check_segment_store(disk: &dyn Disk, directory: &Path, inspector: &mut dyn Inspector) -> Vec<LogId> {
    let entries = match disk.list(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            inspector.found(unreadable(directory, &error));
            return Vec::new();
        }
    };
    let marker = directory.join(FORMAT_FILE);
    match FORMAT.is_marked(disk, directory) {
        Ok(true) => {}
        Ok(false) => inspector.found(Finding::harmless(
            marker,
            "the file is missing",
            "nothing: the next start of the broker writes it",
        )),
        Err(error @ StorageError::Version { .. }) => {
            inspector.found(Finding::damage(marker, error.to_string(), NEWER));
        }
        Err(error) => inspector.found(Finding::damage(marker, error.to_string(), UNREADABLE)),
    }
    let mut logs = Vec::new();
    for entry in &entries {
        let log = log_of_name(&entry.name).filter(|_| entry.kind == EntryKind::Directory);
        let is_own = [FORMAT_FILE, LOCK_FILE].contains(&entry.name.as_str());
        match log {
            Some(log) => logs.push(log),
            None if is_own => {}
            None if entry.name == format!("{FORMAT_FILE}{TEMPORARY}") => {
                inspector.found(Finding::harmless(
                    directory.join(&entry.name),
                    "a write was interrupted",
                    REMOVED,
                ));
            }
            None => inspector.found(Finding::harmless(
                directory.join(&entry.name),
                FOREIGN,
                LEFT_ALONE,
            )),
        }
    }
    logs.sort_unstable();
    logs
}
