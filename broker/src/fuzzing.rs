//! Files of the metadata with any content, and their readers: for a fuzz target, which is of a workspace of its own, and for tests.

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_core::record::crc32c;

/// Reads each file of a metadata directory as a start does; says of each, identity, snapshot and log, why not.
pub fn read_metadata(disk: impl Disk + 'static, dir: &Path) -> [Option<String>; 3] {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    crate::metadata::read_files(&disk, dir).map(|read| read.err().map(|error| error.to_string()))
}

/// A file of the metadata that these bytes choose, with the content that they say and checksums that are right: its name and bytes.
pub fn metadata_file(data: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let (which, content) = data.split_first()?;
    Some(match which % 3 {
        0 => ("identity", document(1, content)),
        1 => ("snapshot", document(2, content)),
        _ => ("00000000000000000001.log", segment(content)),
    })
}

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
