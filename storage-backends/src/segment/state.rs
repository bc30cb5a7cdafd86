//! The checkpoint of a log: which segments it has, which epochs, and from where recovery has to look.
//!
//! ```text
//! state file (little-endian)
//!    0  u32  CRC-32C of bytes 4..
//!    4  u32  version, 1
//!    8  u64  first offset of the log
//!   16  u64  active segment: base
//!   24  u32  active segment: generation
//!   28  u32  number of sealed segments
//!   32  u64  bytes of the active segment up to which nothing has to be recovered
//!   40  u64  position at which the active segment is to be cut; all ones = not
//!   48  u32  number of epochs
//!   52  u32  0
//!   56       the active segment's summary up to the bytes at 32 (56 bytes, as below from its end on)
//!            sealed segments: u64 base, u32 generation, u32 0, then 56 bytes:
//!                u64 start, u64 end, u64 records, u64 bytes, u64 file bytes, i64 first time, i64 last time
//!            epochs: u64 epoch, u64 first offset
//! ```

use strandline_core::record::crc32c;
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::files::SegmentId;
use crate::epochs::{EpochStart, Epochs};

/// Name of the file.
pub(super) const STATE_FILE: &str = "state";
/// Largest state file that is read: room for a million segments.
pub(super) const MAX_FILE_BYTES: u64 = 80 << 20;
const VERSION: u32 = 1;
const NOT_CUT: u64 = u64::MAX;

/// What a log remembers between processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) start: Offset,
    pub(super) sealed: Vec<SealedEntry>,
    pub(super) active: SegmentId,
    /// The active segment up to `content.file_bytes`, which is durable and complete.
    pub(super) content: Content,
    /// Where the active segment has to be cut before anything else: a truncation was under way.
    pub(super) cut_at: Option<u64>,
    pub(super) epochs: Epochs,
}

/// A sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SealedEntry {
    pub(super) id: SegmentId,
    pub(super) content: Content,
}

/// What is in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) range: OffsetRange,
    pub(super) records: u64,
    /// Bytes of batches.
    pub(super) bytes: u64,
    /// Bytes of the file, marks included.
    pub(super) file_bytes: u64,
    pub(super) first_time: Timestamp,
    pub(super) last_time: Timestamp,
}

impl Content {
    /// An empty segment that begins at this offset.
    pub(super) fn empty(base: Offset) -> Self {
        Self {
            range: OffsetRange::new(base, base),
            records: 0,
            bytes: 0,
            file_bytes: 0,
            first_time: Timestamp::ZERO,
            last_time: Timestamp::ZERO,
        }
    }
}

impl State {
    /// The state of a log that begins at this offset with an empty segment.
    pub(super) fn empty(start: Offset, active: SegmentId) -> Self {
        Self {
            start,
            sealed: Vec::new(),
            active,
            content: Content::empty(start),
            cut_at: None,
            epochs: Epochs::default(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        put_u32(&mut out, VERSION);
        put_u64(&mut out, self.start.get());
        put_u64(&mut out, self.active.base.get());
        put_u32(&mut out, self.active.generation);
        put_u32(&mut out, self.sealed.len() as u32);
        put_u64(&mut out, self.content.file_bytes);
        put_u64(&mut out, self.cut_at.unwrap_or(NOT_CUT));
        put_u32(&mut out, self.epochs.len() as u32);
        put_u32(&mut out, 0);
        put_content(&mut out, &self.content);
        for sealed in &self.sealed {
            put_u64(&mut out, sealed.id.base.get());
            put_u32(&mut out, sealed.id.generation);
            put_u32(&mut out, 0);
            put_content(&mut out, &sealed.content);
        }
        for epoch in self.epochs.iter() {
            put_u64(&mut out, epoch.epoch.get());
            put_u64(&mut out, epoch.start.get());
        }
        let crc = crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a state; says which version it has if it is not ours, nothing if it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut reader = Reader { rest: bytes };
        let crc = reader.u32()?;
        if crc != crc32c(reader.rest) {
            return Err(Undecodable::Damaged);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(Undecodable::Version(version));
        }
        let start = Offset::new(reader.u64()?);
        let active = SegmentId {
            base: Offset::new(reader.u64()?),
            generation: reader.u32()?,
        };
        let sealed_count = reader.u32()?;
        let durable = reader.u64()?;
        let cut_at = Some(reader.u64()?).filter(|&position| position != NOT_CUT);
        let epoch_count = reader.u32()?;
        reader.u32()?;
        let content = reader.content()?;
        if content.file_bytes != durable {
            return Err(Undecodable::Damaged);
        }
        let sealed = (0..sealed_count)
            .map(|_| reader.sealed())
            .collect::<Result<_, _>>()?;
        let epochs = (0..epoch_count)
            .map(|_| reader.epoch())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            start,
            sealed,
            active,
            content,
            cut_at,
            epochs,
        })
    }
}

/// Why a state file says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// Its checksum or form is wrong.
    Damaged,
    /// Another version wrote it.
    Version(u32),
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_content(out: &mut Vec<u8>, content: &Content) {
    let numbers = [
        content.range.start.get(),
        content.range.end.get(),
        content.records,
        content.bytes,
        content.file_bytes,
        content.first_time.nanos() as u64,
        content.last_time.nanos() as u64,
    ];
    for number in numbers {
        put_u64(out, number);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn u32(&mut self) -> Result<u32, Undecodable> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Undecodable::Damaged)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*number))
    }

    fn u64(&mut self) -> Result<u64, Undecodable> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Undecodable::Damaged)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn content(&mut self) -> Result<Content, Undecodable> {
        Ok(Content {
            range: OffsetRange::new(Offset::new(self.u64()?), Offset::new(self.u64()?)),
            records: self.u64()?,
            bytes: self.u64()?,
            file_bytes: self.u64()?,
            first_time: Timestamp::from_nanos(self.u64()? as i64),
            last_time: Timestamp::from_nanos(self.u64()? as i64),
        })
    }

    fn sealed(&mut self) -> Result<SealedEntry, Undecodable> {
        let id = SegmentId {
            base: Offset::new(self.u64()?),
            generation: self.u32()?,
        };
        self.u32()?;
        Ok(SealedEntry {
            id,
            content: self.content()?,
        })
    }

    fn epoch(&mut self) -> Result<EpochStart, Undecodable> {
        Ok(EpochStart {
            epoch: LeaderEpoch::new(self.u64()?),
            start: Offset::new(self.u64()?),
        })
    }
}
