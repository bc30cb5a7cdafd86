//! A log whose files were changed behind its back: it opens or says why not, and never gives back what was not appended.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;

use strandline_core::storage::{Factory, StorageError, Store};
use strandline_fuzz::{Change, LOG, check, fill, settings};
use strandline_storage_backends::{SegmentFactory, SystemDisk};

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir_in(memory()).expect("a temporary directory");
    let store = open_store(directory.path()).expect("a new store opens");
    fill(&store).expect("a new log is made");
    drop(store);
    for change in data.chunks_exact(6) {
        damage(directory.path(), change);
    }
    let Ok(store) = open_store(directory.path()) else {
        return;
    };
    if let Ok(log) = store.open(LOG, &settings()) {
        check(log.as_ref());
    }
});

/// A file system in memory, if there is one: a target that waits for disks finds little.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        shared.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn open_store(directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
    SegmentFactory::new().open(Arc::new(SystemDisk::new()), directory)
}

/// One change: the file, what to do, where, and with which byte. Files are removed, too.
fn damage(directory: &Path, change: &[u8]) {
    let mut files: Vec<PathBuf> = fs::read_dir(directory.join(LOG.to_string()))
        .expect("the log has a directory")
        .map(|entry| entry.expect("the directory is listed").path())
        .collect();
    files.sort();
    let Some(path) = files.get(usize::from(change[0]) % files.len().max(1)) else {
        return;
    };
    let kind = change[1] % (Change::KINDS + 1);
    if kind == Change::KINDS {
        return fs::remove_file(path).expect("the file is removed");
    }
    let mut bytes = fs::read(path).expect("the file is read");
    let change = Change {
        kind,
        position: u16::from_le_bytes([change[2], change[3]]).into(),
        with: change[4],
        length: change[5],
    };
    change.apply(&mut bytes);
    fs::write(path, bytes).expect("the file is written");
}
