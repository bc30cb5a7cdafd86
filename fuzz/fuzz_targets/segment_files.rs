//! The files of a log with any content and a checksum that is right: the log opens or says why not, and can be read.

#![no_main]

use std::path::Path;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::crc32c;
use strandline_core::storage::{Factory, Log, ReadLimit};
use strandline_core::{LeaderEpoch, Offset, Timestamp};
use strandline_fuzz::{LOG, fill, settings};
use strandline_storage_backends::SegmentFactory;
use strandline_storage_backends::sim::{Image, SimDisk};

const ROOT: &str = "/data";

fuzz_target!(|data: &[u8]| {
    let Some((which, content)) = data.split_first() else {
        return;
    };
    let image = whole_log();
    let paths = image.paths();
    let of_log: Vec<_> = paths
        .iter()
        .filter(|(path, _)| path.starts_with(log_directory()))
        .collect();
    let (path, _) = of_log[usize::from(*which) % of_log.len()];
    let mut content = content.to_vec();
    if content.len() > 4 {
        let crc = crc32c(&content[4..]);
        content[..4].copy_from_slice(&crc.to_le_bytes());
    }
    let disk = SimDisk::of(image.clone());
    let file = disk.open(path, OpenMode::Write).expect("the file is there");
    file.set_len(0)
        .and_then(|()| file.write_at(0, &content))
        .expect("the file is written");
    let Ok(store) = SegmentFactory::new().open(Arc::new(disk), &Path::new(ROOT).join("store")) else {
        return;
    };
    if let Ok(log) = store.open(LOG, &settings()) {
        use_log(log.as_ref());
    }
});

fn log_directory() -> std::path::PathBuf {
    Path::new(ROOT).join("store").join(LOG.to_string())
}

/// A log of a few segments, closed.
fn whole_log() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let disk = SimDisk::of(Image::with_dir(Path::new(ROOT)));
        let store = SegmentFactory::new()
            .open(Arc::new(disk.clone()), &Path::new(ROOT).join("store"))
            .expect("a new store opens");
        fill(&store).expect("a new log is made");
        drop(store);
        disk.now()
    })
}

/// Whatever the files say, nothing of this may hang or end in a panic.
fn use_log(log: &dyn Log) {
    let limit = ReadLimit {
        end: Offset::MAX,
        max_bytes: 300,
    };
    let mut next = log.start();
    for _ in 0..64 {
        match log.read(next, limit) {
            Ok(run) if run.next > next => next = run.next,
            _ => break,
        }
    }
    let _ = log.read_before(log.end());
    let _ = log.offset_at(Timestamp::from_nanos(3));
    let _ = log.epoch_end(LeaderEpoch::new(1));
    let (_, _) = (log.segments(), log.last_time());
    let _ = log.truncate(next);
    let _ = log.remove_before(next);
    let _ = log.close();
}
