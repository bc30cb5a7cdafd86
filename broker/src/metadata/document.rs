//! Small files that are replaced as a whole: the identity and the snapshot.
//!
//! ```text
//! 0   magic "SLMETDOC"
//! 8   format version
//! 10  kind: 1 = identity, 2 = snapshot
//! 12  crc32c of everything before and after
//! 16  body length
//! 24  body
//! ```
//!
//! Numbers are little-endian. A new version is written under another name, synced and renamed, so that a crash leaves
//! the old or the new one. A file that is there and not whole is damage.

use std::io;
use std::path::{Path, PathBuf};

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::crc32c;

const HEADER_BYTES: usize = 24;
const CRC_AT: usize = 12;
const MAGIC: &[u8; 8] = b"SLMETDOC";
const FORMAT: u16 = 1;
/// Longest document: a limit for damaged or foreign files, and for what a broker is asked to hold in memory.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// What a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    Identity = 1,
    Snapshot = 2,
}

impl Kind {
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Snapshot => "snapshot",
        }
    }

    /// Where the document is.
    pub(super) fn path_in(self, dir: &Path) -> PathBuf {
        dir.join(self.file_name())
    }
}

/// Why a document could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The file system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The file holds what was never written to it.
    #[error("{} is damaged: {problem}; restore the file from a copy, nothing was changed", path.display())]
    Damaged { path: PathBuf, problem: &'static str },
    /// The file was written by another version.
    #[error("{} has format {found}, this version reads {FORMAT}: start the version that wrote it", path.display())]
    Format { path: PathBuf, found: u16 },
    /// The body is over the limit.
    #[error("{} would be over {MAX_DOCUMENT_BYTES} bytes: {bytes} bytes", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
}

impl DocumentError {
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether it is only for want of space, so that it may work later.
    pub(super) fn is_disk_full(&self) -> bool {
        let Self::Io { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Reads a document; none when there is no file.
pub(super) fn read(disk: &dyn Disk, dir: &Path, kind: Kind) -> Result<Option<Vec<u8>>, DocumentError> {
    let path = kind.path_in(dir);
    let file = match disk.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(DocumentError::io("open", &path))?,
    };
    let length = file.len().map_err(DocumentError::io("read", &path))?;
    if length > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::Damaged {
            path,
            problem: "it is longer than any document",
        });
    }
    let mut bytes = Vec::new();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    file.read_at(0, length, &mut bytes)
        .map_err(DocumentError::io("read", &path))?;
    decode(bytes, &path, kind).map(Some)
}

/// Replaces a document. Durable on return; after an error the old one is still there, or the new one.
pub(super) fn replace(disk: &dyn Disk, dir: &Path, kind: Kind, body: &[u8]) -> Result<(), DocumentError> {
    let path = kind.path_in(dir);
    let bytes = encode(kind, body, &path)?;
    let unfinished = dir.join(format!("{}.tmp", kind.file_name()));
    write_unfinished(disk, &unfinished, &bytes).inspect_err(|_| {
        // Only space is at stake: the next attempt removes it as well.
        let _ = disk.remove_file(&unfinished);
    })?;
    disk.rename(&unfinished, &path)
        .map_err(DocumentError::io("rename", &unfinished))?;
    disk.sync_dir(dir).map_err(DocumentError::io("sync", dir))
}

fn write_unfinished(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DocumentError> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(DocumentError::io("remove", path)(error));
        }
        _ => {}
    }
    let file = disk
        .open(path, OpenMode::CreateNew)
        .map_err(DocumentError::io("create", path))?;
    file.write_at(0, bytes)
        .map_err(DocumentError::io("write", path))?;
    file.sync_data().map_err(DocumentError::io("sync", path))
}

fn encode(kind: Kind, body: &[u8], path: &Path) -> Result<Vec<u8>, DocumentError> {
    let total = body.len() as u64 + HEADER_BYTES as u64;
    if total > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge {
            path: path.to_owned(),
            bytes: total,
        });
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(kind as u16).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(body);
    let crc = crc32c(&bytes).to_le_bytes();
    if let Some(place) = bytes.get_mut(CRC_AT..CRC_AT + 4) {
        place.copy_from_slice(&crc);
    }
    Ok(bytes)
}

fn decode(mut bytes: Vec<u8>, path: &Path, kind: Kind) -> Result<Vec<u8>, DocumentError> {
    let damaged = |problem| DocumentError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let header = *bytes
        .first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| damaged("it is shorter than its header"))?;
    if !header.starts_with(MAGIC) {
        return Err(damaged("it is not a document of the metadata"));
    }
    let found = u16::from_le_bytes([header[8], header[9]]);
    if found != FORMAT {
        return Err(DocumentError::Format {
            path: path.to_owned(),
            found,
        });
    }
    if let Some(crc) = bytes.get_mut(CRC_AT..CRC_AT + 4) {
        crc.fill(0);
    }
    if u32::from_le_bytes([header[12], header[13], header[14], header[15]]) != crc32c(&bytes) {
        return Err(damaged("its checksum does not match"));
    }
    if u16::from_le_bytes([header[10], header[11]]) != kind as u16 {
        return Err(damaged("it is a document of another kind"));
    }
    Ok(bytes.split_off(HEADER_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_it_was_written() {
        for body in [&b""[..], b"x", &[0; 100]] {
            let bytes = encode(Kind::Snapshot, body, Path::new("s")).unwrap();
            assert_eq!(decode(bytes, Path::new("s"), Kind::Snapshot).unwrap(), body);
        }
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_seen() {
        let whole = encode(Kind::Snapshot, b"body", Path::new("s")).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                decode(bytes, Path::new("s"), Kind::Snapshot).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..whole.len() {
            assert!(
                decode(whole[..length].to_vec(), Path::new("s"), Kind::Snapshot).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn documents_of_another_kind_or_version_are_refused_by_name() {
        let whole = encode(Kind::Identity, b"body", Path::new("i")).unwrap();
        assert!(matches!(
            decode(whole.clone(), Path::new("i"), Kind::Snapshot),
            Err(DocumentError::Damaged {
                problem: "it is a document of another kind",
                ..
            })
        ));
        let mut newer = whole;
        newer[8] = 2;
        let error = decode(newer, Path::new("m/identity"), Kind::Identity)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("m/identity has format 2, this version reads 1"),
            "{error}"
        );
    }
}
