//! Blocks on the disk: what was fetched once need not be fetched again, not even after a restart.
//!
//! A file for each block, its name made of the object's key and the block's position, which stand in the file as well:
//!
//! ```text
//!    0  [8]  magic, "STRNDBLK"
//!    8  u32  CRC-32C of all that follows
//!   12  u32  format version, 1
//!   16  u64  position of the block in its object
//!   24  u32  length of the key
//!   28       key, then the block
//! ```
//!
//! Nothing is synced: a file that a power loss tore is found out by its checksum. Whatever goes wrong, the block is fetched.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use strandline_core::disk::{Disk, EntryKind, OpenMode};
use strandline_core::record::crc32c;

use super::order::{Order, Turn};
use crate::files;

const MAGIC: &[u8; 8] = b"STRNDBLK";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 28;
const SUFFIX: &str = ".block";
/// Largest file: a block holds one batch at the least, and a key is a few hundred bytes.
const FILE_MAX_BYTES: u64 = 80 << 20;
/// How long nothing is written after the disk refused it.
const PAUSE: Duration = Duration::from_mins(1);

/// A file's name without its suffix.
type Name = u128;

/// The cache.
#[derive(Debug)]
pub(super) struct DiskCache {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<Name, (u64, Turn)>,
    order: Order<Name>,
    bytes: u64,
    paused: Option<Instant>,
}

impl DiskCache {
    /// Takes a directory for the cache, and what is there of it. Files that are none of its own are removed.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or read.
    pub(super) fn open(disk: Arc<dyn Disk>, directory: &Path, max_bytes: u64) -> io::Result<Self> {
        match disk.create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut state = State::default();
        for entry in disk.list(directory)? {
            if entry.kind != EntryKind::File {
                continue;
            }
            let path = directory.join(&entry.name);
            match name_in(&entry.name).zip(length_of(disk.as_ref(), &path)) {
                Some((name, bytes)) => state.add(name, bytes),
                None => drop(disk.remove_file(&path)),
            }
        }
        let cache = Self {
            disk,
            directory: directory.to_owned(),
            max_bytes,
            state: Mutex::new(state),
        };
        cache.make_room(0);
        Ok(cache)
    }

    /// Bytes that are in use.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Whether a block seems to be there.
    pub(super) fn contains(&self, key: &str, position: u64) -> bool {
        self.state.lock().files.contains_key(&name_of(key, position))
    }

    /// A block. A file that is not whole is removed.
    pub(super) fn read(&self, key: &str, position: u64) -> Option<Bytes> {
        let name = name_of(key, position);
        self.state.lock().use_again(name)?;
        let read = files::read_whole(self.disk.as_ref(), &self.path(name), FILE_MAX_BYTES);
        let content = read.ok().flatten().map(Bytes::from);
        let block = content.and_then(|content| parse(&content, key, position));
        if block.is_none() {
            tracing::debug!(
                key,
                position,
                "a file of the archive's cache is damaged or gone; it is forgotten"
            );
            self.remove(name);
        }
        block
    }

    /// Takes in a block, for which others make room.
    pub(super) fn put(&self, key: &str, position: u64, block: &[u8]) {
        let name = name_of(key, position);
        let content = built(key, position, block);
        let bytes = content.len() as u64;
        {
            let state = self.state.lock();
            let is_paused = state.paused.is_some_and(|since| since.elapsed() < PAUSE);
            if is_paused || state.files.contains_key(&name) || bytes > self.max_bytes {
                return;
            }
        }
        self.make_room(bytes);
        let written = files::replace_cache(self.disk.as_ref(), &self.directory, &file_name(name), &content);
        match written {
            Ok(()) => self.state.lock().add(name, bytes),
            Err(error) => {
                tracing::warn!(%error, directory = %self.directory.display(), pause = ?PAUSE,
                    "the archive's cache on the disk takes nothing in for now");
                let aside = format!("{}{}", file_name(name), files::TEMPORARY);
                let _ = files::remove_if_there(self.disk.as_ref(), &self.directory.join(aside));
                self.state.lock().paused = Some(Instant::now());
            }
        }
    }

    /// Forgets a block, whose content proved wrong.
    pub(super) fn forget(&self, key: &str, position: u64) {
        self.remove(name_of(key, position));
    }

    fn make_room(&self, bytes: u64) {
        loop {
            let state = self.state.lock();
            if state.bytes + bytes <= self.max_bytes {
                return;
            }
            let Some(oldest) = state.oldest() else { return };
            drop(state);
            self.remove(oldest);
        }
    }

    fn remove(&self, name: Name) {
        self.state.lock().forget(name);
        // One that stays is found by the next start.
        let _ = self.disk.remove_file(&self.path(name));
    }

    fn path(&self, name: Name) -> PathBuf {
        self.directory.join(file_name(name))
    }
}

impl State {
    fn add(&mut self, name: Name, bytes: u64) {
        self.forget(name);
        let turn = self.order.add(name);
        self.files.insert(name, (bytes, turn));
        self.bytes += bytes;
    }

    fn use_again(&mut self, name: Name) -> Option<()> {
        let (_, turn) = self.files.get_mut(&name)?;
        *turn = self.order.renew(*turn);
        Some(())
    }

    fn oldest(&self) -> Option<Name> {
        self.order.oldest().copied()
    }

    fn forget(&mut self, name: Name) {
        if let Some((bytes, turn)) = self.files.remove(&name) {
            self.order.remove(turn);
            self.bytes -= bytes;
        }
    }
}

fn length_of(disk: &dyn Disk, path: &Path) -> Option<u64> {
    let length = disk.open(path, OpenMode::Read).ok()?.len().ok()?;
    (length > HEADER_BYTES as u64).then_some(length)
}

/// FNV-1a of the key and the position. Two blocks of one name do no harm: the file says whose it is.
fn name_of(key: &str, position: u64) -> Name {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = key.bytes().chain(position.to_le_bytes());
    bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

fn file_name(name: Name) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{name:032x}{SUFFIX}");
    text
}

fn name_in(file: &str) -> Option<Name> {
    let digits = file.strip_suffix(SUFFIX)?;
    let name = Name::from_str_radix(digits, 16).ok()?;
    (file_name(name) == file).then_some(name)
}

fn built(key: &str, position: u64, block: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + key.len() + block.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(block);
    let crc = crc32c(&out[12..]);
    out[8..12].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The block in a file, if all of the file is as it was written and it is the block that is looked for.
fn parse(content: &Bytes, key: &str, position: u64) -> Option<Bytes> {
    let expected = built_header(content, key, position)?;
    (content.get(..HEADER_BYTES)? == expected
        && content.get(HEADER_BYTES..HEADER_BYTES + key.len())? == key.as_bytes())
    .then(|| content.slice(HEADER_BYTES + key.len()..))
}

fn built_header(content: &[u8], key: &str, position: u64) -> Option<[u8; HEADER_BYTES]> {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&crc32c(content.get(12..)?).to_le_bytes());
    header[12..16].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&position.to_le_bytes());
    header[24..].copy_from_slice(&(key.len() as u32).to_le_bytes());
    Some(header)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::SystemDisk;
    use crate::sim::{Image, SimDisk};

    const BLOCK: [u8; 1000] = [7; 1000];

    fn cache(directory: &TempDir, blocks: u64) -> DiskCache {
        let bytes = built("object", 0, &BLOCK).len() as u64;
        let disk = Arc::new(SystemDisk::new());
        DiskCache::open(disk, &directory.path().join("cache"), blocks * bytes).unwrap()
    }

    fn files(directory: &TempDir) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory.path().join("cache")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn what_was_put_is_there_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let before = cache(&directory, 3);
        before.put("object", 16, &BLOCK);
        drop(before);
        let cache = cache(&directory, 3);
        assert!(cache.contains("object", 16));
        assert_eq!(cache.read("object", 16).unwrap(), BLOCK[..]);
        assert!(cache.read("object", 17).is_none() && cache.read("other", 16).is_none());
    }

    #[test]
    fn those_that_were_not_read_for_the_longest_time_make_room_also_when_there_is_less_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let full = cache(&directory, 3);
        for position in 0..3 {
            full.put("object", position, &BLOCK);
        }
        full.read("object", 0);
        full.put("object", 3, &BLOCK);
        let there: Vec<u64> = (0..4)
            .filter(|&position| full.contains("object", position))
            .collect();
        assert_eq!((there, files(&directory).len()), (vec![0, 2, 3], 3));
        drop(full);
        let smaller = cache(&directory, 1);
        assert_eq!(files(&directory).len(), 1);
        assert!(smaller.bytes() <= smaller.max_bytes);
    }

    #[test]
    fn damaged_and_foreign_files_are_removed_and_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let first = cache(&directory, 9);
        first.put("object", 0, &BLOCK);
        drop(first);
        let path = files(&directory).remove(0);
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() + 1 {
            let mut damaged = whole.clone();
            match damaged.get_mut(position) {
                Some(byte) => *byte ^= 1,
                None => damaged.truncate(whole.len() - 1),
            }
            fs::write(&path, &damaged).unwrap();
            let cache = cache(&directory, 9);
            assert!(cache.read("object", 0).is_none(), "byte {position}");
            assert!(!path.exists() && !cache.contains("object", 0) && cache.bytes() == 0);
        }
        // A whole file under the name of another block.
        fs::write(&path, built("other", 0, &BLOCK)).unwrap();
        fs::write(path.with_extension("block.tmp"), b"torn").unwrap();
        fs::write(path.with_file_name("notes.txt"), b"mine").unwrap();
        fs::write(path.with_file_name("1.block"), b"short").unwrap();
        let cache = cache(&directory, 9);
        assert_eq!(files(&directory), [path]);
        assert!(cache.read("object", 0).is_none());
        assert!(files(&directory).is_empty());
    }

    #[test]
    fn a_file_that_has_gone_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory, 9);
        cache.put("object", 0, &BLOCK);
        fs::remove_file(files(&directory).remove(0)).unwrap();
        assert!(cache.read("object", 0).is_none());
        assert!(!cache.contains("object", 0));
        cache.put("object", 0, &BLOCK);
        assert!(cache.read("object", 0).is_some());
    }

    #[test]
    fn a_full_disk_costs_nothing_but_the_cache() {
        let disk = SimDisk::of(Image::with_dir(Path::new("/data")));
        let directory = Path::new("/data/cache");
        let cache = DiskCache::open(Arc::new(disk.clone()), directory, 1 << 20).unwrap();
        cache.put("object", 0, &BLOCK);
        disk.limit_room(Some(500));
        cache.put("object", 1, &BLOCK);
        assert!(cache.contains("object", 0) && !cache.contains("object", 1));
        disk.limit_room(None);
        cache.put("object", 1, &BLOCK);
        assert!(!cache.contains("object", 1), "it is not tried again at once");
        assert_eq!(cache.read("object", 0).unwrap(), BLOCK[..]);
        assert_eq!(disk.list(directory).unwrap().len(), 1);
    }
}
