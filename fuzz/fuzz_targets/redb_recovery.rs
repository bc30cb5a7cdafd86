//! A database of redb that was changed behind its back: it opens or says why not, and never gives back what was not appended.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::{Factory, StorageError, Store};
use strandline_fuzz::{Change, LOG, check, fill, settings};
use strandline_storage_backends::sim::{Image, SimDisk};
use strandline_storage_backends::{RedbFactory, panic_is_contained};

const ROOT: &str = "/data";

fuzz_target!(
    init: let_contained_panics_pass(),
    |data: &[u8]| {
        let whole = whole_store();
        let disk = SimDisk::of(whole.clone());
        let files: Vec<(PathBuf, usize)> = whole.paths().into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        for change in data.chunks_exact(8) {
            let (path, _) = &files[usize::from(change[0]) % files.len()];
            damage(&disk, path, change);
        }
        let Ok(store) = open_store(&disk) else { return };
        if let Ok(log) = store.open(LOG, &settings()) {
            check(log.as_ref());
        }
    }
);

/// libFuzzer ends the process at any panic. Those of redb are made errors.
fn let_contained_panics_pass() {
    let ends = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic_is_contained() {
            ends(panic);
        }
    }));
}

fn open_store(disk: &SimDisk) -> Result<Arc<dyn Store>, StorageError> {
    RedbFactory::new().open(Arc::new(disk.clone()), &Path::new(ROOT).join("store"))
}

/// The store after a clean stop.
fn whole_store() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let disk = SimDisk::of(Image::with_dir(Path::new(ROOT)));
        let store = open_store(&disk).expect("a new store opens");
        fill(&store).expect("a new log is made");
        drop(store);
        disk.now()
    })
}

/// One change of one file: what to do, where, and with which byte.
fn damage(disk: &SimDisk, path: &Path, change: &[u8]) {
    let file = disk.open(path, OpenMode::Write).expect("the file is there");
    let mut bytes = Vec::new();
    let length = file.len().expect("a file has a length");
    file.read_at(0, length as usize, &mut bytes)
        .expect("a file is read");
    let change = Change {
        kind: change[1],
        position: u32::from_le_bytes([change[2], change[3], change[4], change[5]]),
        with: change[6],
        length: change[7],
    };
    change.apply(&mut bytes);
    file.set_len(0)
        .and_then(|()| file.write_at(0, &bytes))
        .expect("the file is written");
}
