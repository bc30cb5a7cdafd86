//! A file system in memory that remembers every operation, so that a test can see what each moment of a power loss may
//! leave behind. For tests only: what a test does wrong ends in a panic.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a model for tests")]

mod crash;
mod file;
mod gate;
mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, OpenMode};

pub use crash::Losses;
pub use gate::Gate;
pub use image::Image;

use file::File;
use image::{Left, Operation, SECTOR_BYTES};

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
    /// How many operations go well before one fails, and how that does.
    fault: Option<(usize, Fault)>,
}

/// How one operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is done.
    Whole,
    /// Of a write half is done, of anything else nothing.
    Half,
    /// As `Half`, because the disk has no room.
    NoRoom,
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

    /// The disk as another process finds it when this one ends now: what was written is there, and as durable as it was.
    /// Later operations on one of the two do not reach the other.
    pub fn after_kill(&self) -> Self {
        let world = self.world.lock();
        let world = World {
            image: world.image.clone(),
            history: world.history.clone(),
            locks: BTreeSet::new(),
            ..*world
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

    /// Makes one operation fail after so many that go well; the others go well again.
    pub fn fail_once_after(&self, operations: usize, fault: Fault) {
        self.world.lock().fault = Some((operations, fault));
    }

    /// Whether the operation that was to fail has.
    pub fn has_failed(&self) -> bool {
        self.world.lock().fault.is_none()
    }

    /// Makes syncs fail from now on.
    pub fn fail(&self, failing: Failing) {
        self.world.lock().failing = failing;
    }

    /// Changes one byte of a file, as a failing disk would.
    pub fn flip(&self, path: &Path, position: usize, with: u8) {
        let mut world = self.world.lock();
        let file = world.find(path).unwrap();
        let content = Arc::make_mut(world.image.files.get_mut(&file).unwrap());
        content[position] ^= with;
    }

    /// Fills the sector of a file that this position lies in with zeroes, as a disk that never wrote it would.
    pub fn lose_sector(&self, path: &Path, position: usize) {
        let mut world = self.world.lock();
        let file = world.find(path).unwrap();
        let content = Arc::make_mut(world.image.files.get_mut(&file).unwrap());
        let start = position / SECTOR_BYTES * SECTOR_BYTES;
        let end = content.len().min(start + SECTOR_BYTES);
        content[start..end].fill(0);
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

impl World {
    /// Does an operation, unless it is to fail.
    fn attempt(&mut self, operation: Operation) -> io::Result<()> {
        let fails = match self.failing {
            Failing::None => false,
            Failing::FileSyncs => matches!(operation, Operation::Sync { .. }),
            Failing::DirSyncs => matches!(operation, Operation::SyncDir { .. }),
        };
        let fault = match &mut self.fault {
            Some((0, _)) => self.fault.take().map(|(_, fault)| fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        match (fault, operation) {
            (None, operation) if !fails => {
                self.record(operation);
                return Ok(());
            }
            (
                Some(Fault::Half | Fault::NoRoom),
                Operation::Write {
                    file,
                    position,
                    bytes,
                },
            ) => {
                let bytes = bytes.get(..bytes.len() / 2).unwrap_or_default().into();
                self.record(Operation::Write {
                    file,
                    position,
                    bytes,
                });
            }
            _ => {}
        }
        Err(match fault {
            Some(Fault::NoRoom) => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("injected"),
        })
    }

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
        let now = self.image.files.get(&file).map_or(0, |content| content.len());
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
                world.attempt(Operation::Link { dir, name, file })?;
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
            world.attempt(Operation::Rename { dir, from, to, file })
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| {
            world.find(path)?;
            let (dir, name) = split(path);
            world.attempt(Operation::Unlink { dir, name })
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| match world.image.dirs.contains_key(path) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => world.attempt(Operation::MakeDir {
                path: path.to_owned(),
            }),
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.edit(|world| match world.image.dirs.get(path).map(BTreeMap::is_empty) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(false) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(true) => world.attempt(Operation::RemoveDir {
                path: path.to_owned(),
            }),
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
        self.edit(|world| world.attempt(Operation::SyncDir { dir: path.to_owned() }))
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
