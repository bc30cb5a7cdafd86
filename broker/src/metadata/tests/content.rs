//! Files with any content and checksums that are right are read or refused.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use strandline_core::disk::{Disk, OpenMode};
use strandline_storage_backends::sim::{Image, SimDisk};

use crate::fuzzing::{metadata_file, read_metadata};

const ROOT: &str = "/metadata";

/// Reads a directory with this one file; says what is wrong with it.
fn read(data: &[u8]) -> Option<String> {
    let (name, bytes) = metadata_file(data)?;
    let disk = SimDisk::of(Image::with_dir(Path::new(ROOT)));
    let file = disk.open(&Path::new(ROOT).join(name), OpenMode::CreateNew);
    file.unwrap().write_at(0, &bytes).unwrap();
    let kind = usize::from(data[0] % 3);
    read_metadata(disk, Path::new(ROOT))[kind].clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_content_is_read_or_refused(kind in 0..3_u8, content in vec(any::<u8>(), 0..300)) {
        let data = [&[kind][..], &content].concat();
        let _ = read(&data);
    }

    #[test]
    fn any_records_of_the_log_are_read_or_refused(records in vec((0..8_u8, vec(any::<u8>(), 0..40)), 0..12)) {
        let mut data = vec![2];
        for (kind, payload) in records {
            data.extend([kind, payload.len() as u8]);
            data.extend(payload);
        }
        let _ = read(&data);
    }
}

#[test]
fn a_document_of_another_shape_is_refused() {
    assert!(read(b"\x00{}").is_some() && read(b"\x01{}").is_some());
}
