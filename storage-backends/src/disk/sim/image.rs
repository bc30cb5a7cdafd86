//! What is on a disk, and what changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a disk writes as a whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// Files and directories at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    pub(super) dirs: BTreeMap<PathBuf, BTreeMap<String, usize>>,
    /// Shared by the images that have the same content.
    pub(super) files: BTreeMap<usize, Arc<Vec<u8>>>,
}

/// A change, as it was asked for.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Write {
        file: usize,
        position: usize,
        bytes: Arc<[u8]>,
    },
    SetLen {
        file: usize,
        bytes: usize,
    },
    Sync {
        file: usize,
    },
    Link {
        dir: PathBuf,
        name: String,
        file: usize,
    },
    Unlink {
        dir: PathBuf,
        name: String,
    },
    Rename {
        dir: PathBuf,
        from: String,
        to: String,
        file: usize,
    },
    MakeDir {
        path: PathBuf,
    },
    RemoveDir {
        path: PathBuf,
    },
    SyncDir {
        dir: PathBuf,
    },
}

/// What is left of an operation that was not made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    All,
    Nothing,
    /// Of a write only so many first bytes.
    Start(usize),
    /// Of a write only what follows so many bytes.
    End(usize),
    /// Of a write only the sectors whose bit is set, counted from the one in which it begins.
    Sectors(u64),
}

impl Left {
    /// The parts of a write of so many bytes at this position that are left.
    fn parts(self, position: usize, bytes: usize) -> Vec<Range<usize>> {
        let one = |part| std::iter::once(part).collect();
        match self {
            Self::All => one(0..bytes),
            Self::Nothing => Vec::new(),
            Self::Start(end) => one(0..end),
            Self::End(skip) => one(skip..bytes),
            Self::Sectors(chosen) => {
                let sectors = sectors(position, bytes).into_iter().enumerate();
                let is_chosen = |number: usize| chosen >> number & 1 == 1;
                sectors
                    .filter(|(number, _)| is_chosen(*number))
                    .map(|(_, part)| part)
                    .collect()
            }
        }
    }
}

/// A write's parts by the sectors that they lie in.
pub(super) fn sectors(position: usize, bytes: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < bytes {
        let next_sector = (position + start) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
        let end = (next_sector - position).min(bytes);
        parts.push(start..end);
        start = end;
    }
    parts
}

impl Image {
    /// An image with one empty directory.
    pub fn with_dir(dir: &Path) -> Self {
        Self {
            dirs: BTreeMap::from([(dir.to_owned(), BTreeMap::new())]),
            files: BTreeMap::new(),
        }
    }

    /// The files with their lengths, in the order of their paths.
    pub fn paths(&self) -> Vec<(PathBuf, usize)> {
        let mut paths = Vec::new();
        for (dir, entries) in &self.dirs {
            let length = |file: &usize| self.files.get(file).map_or(0, |content| content.len());
            paths.extend(entries.iter().map(|(name, file)| (dir.join(name), length(file))));
        }
        paths
    }

    pub(super) fn used(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Forgets the files that no directory has an entry for.
    pub(super) fn drop_unlinked(&mut self) {
        let dirs = self.dirs.values();
        let linked: BTreeSet<usize> = dirs.flat_map(|dir| dir.values().copied()).collect();
        self.files.retain(|file, _| linked.contains(file));
    }

    pub(super) fn apply(&mut self, operation: &Operation, left: Left) {
        if left == Left::Nothing {
            return;
        }
        match operation {
            Operation::Write {
                file,
                position,
                bytes,
            } => {
                let content = Arc::make_mut(self.files.entry(*file).or_default());
                for part in left.parts(*position, bytes.len()) {
                    let place = position + part.start..position + part.end;
                    content.resize(content.len().max(place.end), 0);
                    content[place].copy_from_slice(&bytes[part]);
                }
            }
            Operation::SetLen { file, bytes } => {
                Arc::make_mut(self.files.entry(*file).or_default()).resize(*bytes, 0);
            }
            Operation::Sync { .. } | Operation::SyncDir { .. } => {}
            Operation::MakeDir { path } => {
                if path.parent().is_none_or(|parent| self.dirs.contains_key(parent)) {
                    self.dirs.entry(path.clone()).or_default();
                }
            }
            Operation::RemoveDir { path } => {
                self.dirs.remove(path);
            }
            // Entries of a directory that was lost are lost with it.
            Operation::Link { dir, name, file } => {
                self.files.entry(*file).or_default();
                if let Some(entries) = self.dirs.get_mut(dir) {
                    entries.insert(name.clone(), *file);
                }
            }
            Operation::Unlink { dir, name } => {
                if let Some(entries) = self.dirs.get_mut(dir) {
                    entries.remove(name);
                }
            }
            Operation::Rename { dir, from, to, file } => {
                self.files.entry(*file).or_default();
                if let Some(entries) = self.dirs.get_mut(dir) {
                    entries.remove(from);
                    entries.insert(to.clone(), *file);
                }
            }
        }
    }
}
