//! The files of the metadata with any content and checksums that are right: they are read or refused.
//!
//! Needs most of what the broker is built of, so it is built only on demand: `cargo fuzz run --features metadata metadata_files`. CI tries
//! the same with fewer contents, in the tests of `broker::metadata`.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

use strandline_broker::fuzzing::{metadata_file, read_metadata};
use strandline_core::disk::{Disk, OpenMode};
use strandline_storage_backends::sim::{Image, SimDisk};

const ROOT: &str = "/metadata";

fuzz_target!(|data: &[u8]| {
    let Some((name, bytes)) = metadata_file(data) else {
        return;
    };
    let disk = SimDisk::of(Image::with_dir(Path::new(ROOT)));
    let file = disk
        .open(&Path::new(ROOT).join(name), OpenMode::CreateNew)
        .expect("a new file is created");
    file.write_at(0, &bytes).expect("a file is written");
    let _ = read_metadata(disk, Path::new(ROOT));
});
