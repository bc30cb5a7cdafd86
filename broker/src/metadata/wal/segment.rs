//! Segment files: names and headers.
//!
//! ```text
//! 0   magic "SLMETLOG"
//! 8   format version
//! 10  zero
//! 16  segment number
//! 24  end of the records of the segment before; 0 = there is none
//! 32  index of the next entry; all ones = no entry was ever written
//! 40  end of the records that were written with the header: vote, purge and commit position as they stood
//! 48  crc32c of everything before
//! 52  records
//! ```
//!
//! A segment gets its name only when header and first records are durable, so damage there is never a torn write.

use std::path::{Path, PathBuf};

use strandline_core::record::crc32c;

use super::WalError;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 52;
const MAGIC: &[u8; 8] = b"SLMETLOG";
const FORMAT: u16 = 1;
const NO_ENTRY: u64 = u64::MAX;
const SUFFIX: &str = ".log";
/// Ends the names of files that are still being written and may be removed at any start.
const UNFINISHED_SUFFIX: &str = ".log.tmp";

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: u64,
    pub(super) previous_end: u64,
    pub(super) next_index: Option<u64>,
    pub(super) checkpoint_end: u64,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        let next_index = self.next_index.unwrap_or(NO_ENTRY);
        for number in [self.segment, self.previous_end, next_index, self.checkpoint_end] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Self, WalError> {
        let damaged = |problem: &str| WalError::damaged(path, 0, problem);
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or_else(|| damaged("file is shorter than its header"))?;
        if !header.starts_with(MAGIC) {
            return Err(damaged("not a segment of a metadata log"));
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        if found != FORMAT {
            return Err(WalError::Format {
                path: path.to_owned(),
                found,
                supported: FORMAT,
            });
        }
        let (covered, crc) = header.split_at(HEADER_BYTES - 4);
        if crc != crc32c(covered).to_le_bytes() {
            return Err(damaged("checksum of the header does not match"));
        }
        let number = |at: usize| {
            let bytes = covered.get(at..).and_then(|bytes| bytes.first_chunk());
            bytes.map_or(NO_ENTRY, |bytes| u64::from_le_bytes(*bytes))
        };
        let next_index = Some(number(32)).filter(|&index| index != NO_ENTRY);
        let header = Self {
            segment: number(16),
            previous_end: number(24),
            next_index,
            checkpoint_end: number(40),
        };
        if path_of(path.parent().unwrap_or(path), header.segment) != path {
            return Err(damaged("file has the name of another segment"));
        }
        Ok(header)
    }
}

/// Where a segment is.
pub(super) fn path_of(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:020}{SUFFIX}"))
}

/// Where a segment is while it is being written.
pub(super) fn unfinished_path_of(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:020}{UNFINISHED_SUFFIX}"))
}

/// What a file's name says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Segment(u64),
    Unfinished(u64),
    Other,
}

/// Reads a file's name.
pub(super) fn parse_name(name: &str) -> Named {
    let number = |digits: &str| {
        let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let unfinished = name
        .strip_suffix(UNFINISHED_SUFFIX)
        .and_then(number)
        .map(Named::Unfinished);
    let segment = || name.strip_suffix(SUFFIX).and_then(number).map(Named::Segment);
    unfinished.or_else(segment).unwrap_or(Named::Other)
}

/// Whether a file of this name is a segment.
pub(crate) fn is_segment_name(name: &str) -> bool {
    matches!(parse_name(name), Named::Segment(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for next_index in [None, Some(0), Some(9)] {
            let header = Header {
                segment: 3,
                previous_end: 4,
                next_index,
                checkpoint_end: 5,
            };
            let path = path_of(Path::new("/m"), 3);
            assert_eq!(Header::decode(&header.encode(), &path).unwrap(), header);
            let other = path_of(Path::new("/m"), 4);
            assert!(matches!(
                Header::decode(&header.encode(), &other),
                Err(WalError::Damaged { .. })
            ));
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let header = Header {
            segment: 1,
            previous_end: 0,
            next_index: None,
            checkpoint_end: 52,
        };
        let mut bytes = header.encode();
        bytes[8] = 9;
        let error = Header::decode(&bytes, &path_of(Path::new("/m"), 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/m/00000000000000000001.log has metadata log format 9"),
            "{error}"
        );
    }

    #[test]
    fn any_changed_bit_of_a_header_is_seen() {
        let header = Header {
            segment: 1,
            previous_end: 2,
            next_index: Some(3),
            checkpoint_end: 52,
        };
        let path = path_of(Path::new("/m"), 1);
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes, &path).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(parse_name("00000000000000000012.log"), Named::Segment(12));
        assert_eq!(parse_name("00000000000000000012.log.tmp"), Named::Unfinished(12));
        for name in [
            "12.log",
            "+0000000000000000012.log",
            "99999999999999999999.log",
            "x.tmp",
            "",
        ] {
            assert_eq!(parse_name(name), Named::Other, "{name}");
        }
    }
}
