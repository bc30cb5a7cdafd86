//! Domain types, storage contracts and pure logic of Strandline.
//!
//! Nothing in this crate opens a socket or a file, starts a task or reads a clock: bytes, times and randomness
//! come in as arguments. It is the ground every other crate stands on, so the words of the glossary in
//! `docs/architecture.md` are defined here.

mod epoch;
mod ids;
mod name;
mod offset;
mod time;

pub mod compaction;
pub mod disk;
pub mod envelope;
pub mod metadata;
pub mod partition;
pub mod plugin;
pub mod record;
pub mod retention;
pub mod storage;
pub mod stream;
pub mod subject;

pub use epoch::LeaderEpoch;
pub use ids::{BrokerId, LogId, PartitionId};
pub use name::{InvalidName, StreamName};
pub use offset::{Offset, OffsetRange};
pub use time::{Clock, Timestamp};
