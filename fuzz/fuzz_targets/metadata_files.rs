//! The files of the metadata with any content and checksums that are right: they are read or refused.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

use strandline_broker::fuzzing::read_metadata;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::crc32c;
use strandline_storage_backends::sim::{Image, SimDisk};

const ROOT: &str = "/metadata";

fuzz_target!(|data: &[u8]| {
    let Some((which, content)) = data.split_first() else {
        return;
    };
    let (name, bytes) = match which % 3 {
        0 => ("identity", document(1, content)),
        1 => ("snapshot", document(2, content)),
        _ => ("00000000000000000001.log", segment(content)),
    };
    let disk = SimDisk::of(Image::with_dir(Path::new(ROOT)));
    let file = disk
        .open(&Path::new(ROOT).join(name), OpenMode::CreateNew)
        .expect("a new file is created");
    file.write_at(0, &bytes).expect("a file is written");
    let _ = read_metadata(disk, Path::new(ROOT));
});

/// An identity or a snapshot with this body.
fn document(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"SLMETDOC".to_vec();
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(body);
    let crc = crc32c(&bytes);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The first segment of a log with records of these kinds and payloads: a byte each for kind and length, then the payload.
fn segment(mut content: &[u8]) -> Vec<u8> {
    let mut bytes = b"SLMETLOG".to_vec();
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend([0; 6]);
    for number in [1, 0, u64::MAX, 52] {
        bytes.extend(u64::to_le_bytes(number));
    }
    let crc = crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    while let [kind, length, rest @ ..] = content {
        let (payload, later) = rest.split_at(usize::from(*length).min(rest.len()));
        let position = bytes.len() as u64;
        let mut record = vec![0; 4];
        record.extend((payload.len() as u32).to_le_bytes());
        record.extend(1_u64.to_le_bytes());
        record.extend(position.to_le_bytes());
        record.extend(position.to_le_bytes());
        record.push(*kind);
        record.extend(payload);
        let crc = crc32c(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        bytes.extend(record);
        content = later;
    }
    bytes
}
