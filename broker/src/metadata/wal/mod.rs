//! The write-ahead log of the metadata: segment files of checksummed records, each write made durable before it returns.
//!
//! It knows of entries only that they are numbered without gaps; what is in them is the consensus module's. Votes,
//! truncations and purges are records of the same log, so that one order holds for all of them. `docs/file-formats.md`
//! draws the layout.
//!
//! Space is reserved ahead ([`Wal::reserve`]): the segment is filled with zeroes before records are written over them.
//! A proposer that reserves first learns of a full disk before consensus has begun, and the records that consensus
//! writes on its own always find room.

mod active;
mod error;
mod frame;
mod log;
mod open;
mod record;
mod replay;
mod scan;
mod segment;
mod settings;
mod space;

#[cfg(test)]
mod tests;

pub(crate) use error::WalError;
pub(crate) use log::{Torn, Wal, look};
pub(crate) use record::Record;
pub(crate) use replay::Recovered;
pub(crate) use segment::is_segment_name;
pub(crate) use settings::{Use, WalSettings};
