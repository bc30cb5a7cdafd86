//! The bytes of modules, below the data directory, each in a file that is named by its SHA-256.
//!
//! ```text
//! <data directory>/plugins/modules/
//!     <sha-256>.wasm    a module that the metadata knows
//!     <sha-256>.new     one whose push was not finished when it was written
//! ```
//!
//! A module is written as `.new`, synced, and its directory synced, before the command that names it is proposed; once that
//! is answered it becomes `.wasm`. So a `.new` that the metadata does not know at a start was never acknowledged, and goes. A
//! `.wasm` goes only when the metadata says that it is to be removed: what it says nothing of is left alone.

mod tidy;

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::plugin::Sha256;

/// Everything of plugins, below the data directory.
pub(crate) const PLUGINS_DIRECTORY: &str = "plugins";
/// The modules, below that.
pub(crate) const MODULES_DIRECTORY: &str = "modules";
const KNOWN: &str = ".wasm";
const UNFINISHED: &str = ".new";

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::new(sha2::Sha256::digest(bytes).into())
}

/// The files. Who changes them takes turns.
#[derive(Debug)]
pub(crate) struct ModuleFiles {
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
}

/// Why bytes cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleFileError {
    /// There is no file.
    #[error("{} is missing: restore it from a copy, or push the plugin again", path.display())]
    Missing { path: PathBuf },
    /// The file holds something else.
    #[error("{} is damaged: {problem}; restore it from a copy, or push the plugin again", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// The disk refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl ModuleFileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

impl ModuleFiles {
    /// The files of this data directory; nothing is done to it yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, data_dir: &Path) -> Self {
        Self {
            disk,
            data_dir: data_dir.to_owned(),
        }
    }

    /// Keeps the bytes of a module that is about to be named in the metadata. Durable on return. Says whether the file is new, so
    /// that it has to be [settled](Self::settle) or [given up](Self::give_up). Blocks.
    ///
    /// # Errors
    ///
    /// The disk failed; bytes that were there before are there still.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<(Sha256, bool), ModuleFileError> {
        self.make_directories()?;
        let (sum, directory) = (sha256(bytes), self.directory());
        if self.read_file(&self.path(&sum, KNOWN), &sum).is_ok() {
            // A crash may have left its name in memory only.
            self.sync_directory()?;
            return Ok((sum, false));
        }
        let path = self.path(&sum, UNFINISHED);
        self.remove_file(&path)?;
        let file = self.disk.open(&path, OpenMode::CreateNew);
        let file = file.map_err(ModuleFileError::io("create", &path))?;
        let written = file.write_at(0, bytes).and_then(|()| file.sync_data());
        written
            .map_err(ModuleFileError::io("write", &path))
            .inspect_err(|_| {
                // Only room is at stake: the next start removes it as well.
                let _ = self.disk.remove_file(&path);
            })?;
        self.disk
            .sync_dir(&directory)
            .map_err(ModuleFileError::io("sync", &directory))?;
        Ok((sum, true))
    }

    /// Names a new file for what it is now: a module of the metadata. Blocks.
    ///
    /// # Errors
    ///
    /// The disk failed: the module is readable all the same, and the next start tries again.
    pub(crate) fn settle(&self, sum: &Sha256) -> Result<(), ModuleFileError> {
        let (from, to) = (self.path(sum, UNFINISHED), self.path(sum, KNOWN));
        self.disk
            .rename(&from, &to)
            .map_err(ModuleFileError::io("rename", &from))?;
        self.sync_directory()
    }

    /// Removes a new file that the metadata does not know and never will. Blocks.
    ///
    /// # Errors
    ///
    /// The disk failed: the next start tries again.
    pub(crate) fn give_up(&self, sum: &Sha256) -> Result<(), ModuleFileError> {
        self.remove_file(&self.path(sum, UNFINISHED))
    }

    /// The bytes of a module, which are what they were when it was pushed. Blocks.
    ///
    /// # Errors
    ///
    /// Names the file that is missing or damaged.
    pub(crate) fn read(&self, sum: &Sha256) -> Result<Vec<u8>, ModuleFileError> {
        match self.read_file(&self.path(sum, KNOWN), sum) {
            Err(error @ (ModuleFileError::Missing { .. } | ModuleFileError::Damaged { .. })) => {
                let unfinished = self.path(sum, UNFINISHED);
                self.read_file(&unfinished, sum).map_err(|_| error)
            }
            other => other,
        }
    }

    /// Removes the bytes of a module that the metadata says are to be removed; that they are not there is fine. Durable on
    /// return. Blocks.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub(crate) fn remove(&self, sum: &Sha256) -> Result<(), ModuleFileError> {
        for suffix in [KNOWN, UNFINISHED] {
            self.remove_file(&self.path(sum, suffix))?;
        }
        match self.sync_directory() {
            Err(ModuleFileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn directory(&self) -> PathBuf {
        self.data_dir.join(PLUGINS_DIRECTORY).join(MODULES_DIRECTORY)
    }

    fn path(&self, sum: &Sha256, suffix: &str) -> PathBuf {
        self.directory().join(format!("{sum}{suffix}"))
    }

    /// Creates the directories that are not there, and makes all of them durable: who created them may have ended before.
    fn make_directories(&self) -> Result<(), ModuleFileError> {
        let mut parent = self.data_dir.clone();
        for name in [PLUGINS_DIRECTORY, MODULES_DIRECTORY] {
            let path = parent.join(name);
            match self.disk.create_dir(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(ModuleFileError::io("create", &path)(error));
                }
                _ => {}
            }
            self.disk
                .sync_dir(&parent)
                .map_err(ModuleFileError::io("sync", &parent))?;
            parent = path;
        }
        Ok(())
    }

    fn sync_directory(&self) -> Result<(), ModuleFileError> {
        let directory = self.directory();
        self.disk
            .sync_dir(&directory)
            .map_err(ModuleFileError::io("sync", &directory))
    }

    fn remove_file(&self, path: &Path) -> Result<(), ModuleFileError> {
        match self.disk.remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ModuleFileError::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn read_file(&self, path: &Path, sum: &Sha256) -> Result<Vec<u8>, ModuleFileError> {
        read_module(self.disk.as_ref(), path, sum)
    }
}

/// Reads a module and verifies it. Blocks.
pub(crate) fn read_module(disk: &dyn Disk, path: &Path, sum: &Sha256) -> Result<Vec<u8>, ModuleFileError> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ModuleFileError::Missing {
                path: path.to_owned(),
            });
        }
        other => other.map_err(ModuleFileError::io("open", path))?,
    };
    let damaged = |problem: String| ModuleFileError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let length = file.len().map_err(ModuleFileError::io("read", path))?;
    if length > MAX_FILE_BYTES {
        return Err(damaged(format!("it has {length} bytes, more than any plugin")));
    }
    let mut bytes = Vec::new();
    file.read_at(0, usize::try_from(length).unwrap_or(usize::MAX), &mut bytes)
        .map_err(ModuleFileError::io("read", path))?;
    let found = sha256(&bytes);
    if found != *sum {
        return Err(damaged(format!("its SHA-256 is {found}")));
    }
    Ok(bytes)
}

/// Longest file that is read: what the limit for modules can be set to.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

/// The module that a file name stands for, and whether it is an unfinished one; none if it is no name of ours.
pub(crate) fn module_of(name: &str) -> Option<(Sha256, bool)> {
    let known = name.strip_suffix(KNOWN).map(|sum| (sum, false));
    let (sum, is_unfinished) = known.or_else(|| name.strip_suffix(UNFINISHED).map(|sum| (sum, true)))?;
    Some((sum.parse().ok()?, is_unfinished))
}
