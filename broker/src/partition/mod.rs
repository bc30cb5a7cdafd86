//! Partitions that this broker leads: the way of a message from a door's chunk to its answer, and of a record to a reader.
//!
//! ```text
//! door -> Chunk -> Inbox -> Appender (one thread per store) -> Log -> sync -> Answerer -> publisher
//!                    |   ^      Owner: one per partition             `-> Watch -> readers
//!                    v   |
//!                    Stage (a few threads), for streams with plugins on the way in
//! ```

mod ack;
mod answer;
mod appender;
mod archive_hold;
mod chunk;
mod handle;
mod inbox;
mod inbox_memory;
mod letters;
mod owner;
mod packing;
mod record_buffers;
mod screen;
mod screening;
mod stage;
mod turns;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use ack::{Ack, AckSink, Answers, CallAck, Origin, OwnedAck};
pub(crate) use answer::Answerer;
pub(crate) use appender::{Appender, AppenderHandle, AppenderLimits, REJECTED_MAX_BYTES};
pub(crate) use archive_hold::ArchiveHold;
pub(crate) use chunk::{Answer, Chunk, ChunkRoom, Delivery, Reject};
pub(crate) use handle::{PartitionHandle, PartitionInfo};
pub(crate) use inbox::INBOX_MAX_BYTES;
pub(crate) use inbox_memory::ALL_INBOXES_MAX_BYTES;
pub(crate) use letters::LetterBox;
pub(crate) use owner::BatchLimits;
pub(crate) use packing::Packing;
pub(crate) use record_buffers::SPARE_MAX_BYTES;
pub(crate) use screen::{Letter, Screen, Screened, Verdict};
pub(crate) use stage::{Stage, StageHandle};
pub(crate) use turns::UNSYNCED_MAX_BYTES;
pub(crate) use watch::{ReadState, Readable};
