//! A file system in memory that remembers every operation, so that a test can see what each moment of a power loss may
//! leave behind. For tests only: what a test does wrong ends in a panic.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a model for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, OpenMode};

/// The file system. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Debug, Default)]
struct World {
    image: Image,
    history: Vec<Operation>,
    locks: BTreeSet<PathBuf>,
    /// Bytes that all files may have together.
    room: Option<u64>,
    failing: Failing,
}

/// Which syncs fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failing {
    #[default]
    /// None does.
    None,
    /// Those of files.
    FileSyncs,
    /// Those of directories.
    DirSyncs,
}

/// Files and directories at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    dirs: BTreeMap<PathBuf, BTreeMap<String, usize>>,
    files: BTreeMap<usize, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Operation {
    Write {
        file: usize,
        position: usize,
        bytes: Vec<u8>,
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
enum Left {
    All,
    Nothing,
    /// Of a write only so many first bytes.
    Start(usize),
    /// Of a write only what follows so many bytes.
    End(usize),
}

impl SimDisk {
    /// A disk that holds an image.
    pub fn of(image: Image) -> Self {
        let world = World {
            image,
            ..World::default()
        };
        Self {
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// How many operations there were.
    pub fn moment(&self) -> usize {
        self.world.lock().history.len()
    }

    /// What is there now.
    pub fn now(&self) -> Image {
        self.world.lock().image.clone()
    }

    /// Lets all files together have so many bytes more than now; none = no limit.
    pub fn limit_room(&self, more: Option<u64>) {
        let mut world = self.world.lock();
        world.room = more.map(|more| world.image.used() + more);
    }

    /// Makes syncs fail from now on.
    pub fn fail(&self, failing: Failing) {
        self.world.lock().failing = failing;
    }

    /// What a power loss after the first `moment` operations may leave, each image once.
    pub fn crash_images(&self, start: &Image, moment: usize) -> BTreeSet<Image> {
        let world = self.world.lock();
        let history = &world.history[..moment];
        let open: Vec<usize> = (0..moment).filter(|&at| !is_durable(history, at)).collect();
        let image = |left: &dyn Fn(usize) -> Left| start.after(history, &open, left);
        let mut images = BTreeSet::from([image(&|_| Left::All), image(&|_| Left::Nothing)]);
        for &chosen in &open {
            for rest in [Left::All, Left::Nothing] {
                for special in lefts(&history[chosen]) {
                    images.insert(image(&|at| if at == chosen { special } else { rest }));
                }
            }
        }
        images
    }

    /// Changes one byte of a file, as a failing disk would.
    pub fn flip(&self, path: &Path, position: usize, with: u8) {
        let mut world = self.world.lock();
        let file = world.find(path).unwrap();
        let content = world.image.files.get_mut(&file).unwrap();
        content[position] ^= with;
    }

    /// Length of a file.
    pub fn length(&self, path: &Path) -> usize {
        let world = self.world.lock();
        let file = world.find(path).unwrap();
        world.image.files[&file].len()
    }

    fn edit<T>(&self, change: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        change(&mut self.world.lock())
    }
}

/// What may be left of one operation.
fn lefts(operation: &Operation) -> Vec<Left> {
    let mut lefts = vec![Left::All, Left::Nothing];
    if let Operation::Write { bytes, .. } = operation {
        // The last two are where frames begin in the batches that the tests of the log write.
        let from_end = [1, 58, 116].map(|before| bytes.len().saturating_sub(before));
        let cuts = [1, 16, 40, bytes.len() / 2].into_iter().chain(from_end);
        for cut in cuts.filter(|&cut| cut > 0 && cut < bytes.len()) {
            lefts.extend([Left::Start(cut), Left::End(cut)]);
        }
    }
    lefts
}

fn is_durable(history: &[Operation], at: usize) -> bool {
    let later = &history[at + 1..];
    match &history[at] {
        Operation::Sync { .. } | Operation::SyncDir { .. } => true,
        Operation::Write { file, .. } | Operation::SetLen { file, .. } => later
            .iter()
            .any(|operation| matches!(operation, Operation::Sync { file: synced } if synced == file)),
        Operation::MakeDir { path } | Operation::RemoveDir { path } => later
            .iter()
            .any(|operation| matches!(operation, Operation::SyncDir { dir } if Some(dir.as_path()) == path.parent())),
        Operation::Link { dir, .. } | Operation::Unlink { dir, .. } | Operation::Rename { dir, .. } => later
            .iter()
            .any(|operation| matches!(operation, Operation::SyncDir { dir: synced } if synced == dir)),
    }
}

impl Image {
    /// An image with one empty directory.
    pub fn with_dir(dir: &Path) -> Self {
        Self {
            dirs: BTreeMap::from([(dir.to_owned(), BTreeMap::new())]),
            files: BTreeMap::new(),
        }
    }

    fn used(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    fn after(&self, history: &[Operation], open: &[usize], left: &dyn Fn(usize) -> Left) -> Self {
        let mut image = self.clone();
        for (at, operation) in history.iter().enumerate() {
            let left = if open.contains(&at) { left(at) } else { Left::All };
            image.apply(operation, left);
        }
        let linked: BTreeSet<usize> = image
            .dirs
            .values()
            .flat_map(|dir| dir.values().copied())
            .collect();
        image.files.retain(|file, _| linked.contains(file));
        image
    }

    fn apply(&mut self, operation: &Operation, left: Left) {
        if left == Left::Nothing {
            return;
        }
        match operation {
            Operation::Write {
                file,
                position,
                bytes,
            } => {
                let (skip, end) = match left {
                    Left::Start(end) => (0, end),
                    Left::End(skip) => (skip, bytes.len()),
                    Left::All | Left::Nothing => (0, bytes.len()),
                };
                let content = self.files.entry(*file).or_default();
                content.resize(content.len().max(position + end), 0);
                content[position + skip..position + end].copy_from_slice(&bytes[skip..end]);
            }
            Operation::SetLen { file, bytes } => self.files.entry(*file).or_default().resize(*bytes, 0),
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

impl World {
    fn record(&mut self, operation: Operation) {
        self.image.apply(&operation, Left::All);
        self.history.push(operation);
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let (dir, name) = split(path);
        let entry = self.image.dirs.get(&dir).and_then(|entries| entries.get(&name));
        entry.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn check_room(&self, file: usize, end: usize) -> io::Result<()> {
        let now = self.image.files.get(&file).map_or(0, Vec::len);
        let grown = self.image.used() + end.saturating_sub(now) as u64;
        match self.room {
            Some(room) if end > now && grown > room => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

fn split(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().unwrap().to_str().unwrap();
    (path.parent().unwrap().to_owned(), name.to_owned())
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.edit(|world| match (world.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Err(_), OpenMode::CreateNew) => {
                let file = world.image.files.keys().next_back().map_or(0, |last| last + 1);
                let (dir, name) = split(path);
                world.record(Operation::Link { dir, name, file });
                Ok(file)
            }
            (found, _) => found,
        })?;
        Ok(Arc::new(File {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.edit(|world| {
            let file = world.find(from)?;
            let ((dir, from), (_, to)) = (split(from), split(to));
            world.record(Operation::Rename { dir, from, to, file });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| {
            world.find(path)?;
            let (dir, name) = split(path);
            world.record(Operation::Unlink { dir, name });
            Ok(())
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| match world.image.dirs.contains_key(path) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => {
                world.record(Operation::MakeDir {
                    path: path.to_owned(),
                });
                Ok(())
            }
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| match world.image.dirs.get(path).map(BTreeMap::is_empty) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(false) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(true) => {
                world.record(Operation::RemoveDir {
                    path: path.to_owned(),
                });
                Ok(())
            }
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.edit(|world| {
            let entries = world.image.dirs.get(path).ok_or(io::ErrorKind::NotFound)?;
            let entry = |name: &String| DirEntry {
                name: name.clone(),
                kind: EntryKind::File,
            };
            let inner = world
                .image
                .dirs
                .keys()
                .filter(|inner| inner.parent() == Some(path));
            let directory = |inner: &PathBuf| DirEntry {
                name: split(inner).1,
                kind: EntryKind::Directory,
            };
            Ok(entries.keys().map(entry).chain(inner.map(directory)).collect())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| match world.failing == Failing::DirSyncs {
            true => Err(io::Error::other("injected")),
            false => {
                world.record(Operation::SyncDir { dir: path.to_owned() });
                Ok(())
            }
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.edit(|world| match world.locks.insert(path.to_owned()) {
            true => Ok(Box::new(Lock {
                disk: self.clone(),
                path: path.to_owned(),
            }) as Box<dyn DiskLock>),
            false => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.edit(|world| {
            Ok(world
                .room
                .map_or(u64::MAX, |room| room.saturating_sub(world.image.used())))
        })
    }
}

#[derive(Debug)]
struct Lock {
    disk: SimDisk,
    path: PathBuf,
}

impl DiskLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.world.lock().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct File {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        self.disk.edit(|world| {
            Ok(world
                .image
                .files
                .get(&self.file)
                .map_or(0, |bytes| bytes.len() as u64))
        })
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        self.disk.edit(|world| {
            let content = world.image.files.get(&self.file).map_or(&[][..], Vec::as_slice);
            let rest = content.get(position as usize..).unwrap_or_default();
            let found = &rest[..rest.len().min(max_bytes)];
            out.extend_from_slice(found);
            Ok(found.len())
        })
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.edit(|world| {
            let position = position as usize;
            world.check_room(self.file, position + bytes.len())?;
            world.record(Operation::Write {
                file: self.file,
                position,
                bytes: bytes.to_vec(),
            });
            Ok(())
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.edit(|world| {
            world.record(Operation::SetLen {
                file: self.file,
                bytes: bytes as usize,
            });
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.edit(|world| match world.failing == Failing::FileSyncs {
            true => Err(io::Error::other("injected")),
            false => {
                world.record(Operation::Sync { file: self.file });
                Ok(())
            }
        })
    }
}
