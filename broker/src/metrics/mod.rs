//! Numbers about a running broker.
//!
//! The stages of a message's way count into [`Metrics`], a chunk, batch or read at a time and never a record at a time:
//! plain atomics that nobody waits for. Everything that somebody owns already (queues, partitions, the NATS server,
//! `/proc`) is looked at when a scrape asks. [`names`] says what each number is called and means.

mod archive;
mod collect;
mod disk;
mod grpc;
mod names;
mod numbers;
mod plugins;
mod process;
mod text;
mod value;

pub(crate) use collect::{Scrape, StoredNumbers};
pub(crate) use disk::{CountedDisk, FileNumbers};
pub(crate) use grpc::QueueNumbers;
pub(crate) use numbers::{Door, Metrics, Refusal, ScrubNumbers};
pub(crate) use text::Format;
pub(crate) use value::{Counter, Gauge, Held};
