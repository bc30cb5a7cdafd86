//! The contract between the engine and a storage backend.
//!
//! Three traits by lifetime: a [`Factory`] opens a [`Store`] from its settings; a store lists, creates, opens and
//! deletes partition logs by id and coordinates durability; a [`Log`] holds the batches of one partition.
//!
//! ```text
//!            start                     durable end        end (LEO)
//!   removed    |     sealed segments       |  active seg.    |
//!  ------------[===========================|=================]- - - >
//!              `------ read() serves all of this range ------'
//! ```
//!
//! Everything is synchronous and free of any runtime: methods may block on the disk and are called from threads that
//! may block. All methods take `&self` and may be called from several threads at once; appends and truncations of one log
//! have one caller at a time (its partition's owner), removals and replacements of sealed segments run beside them, readers
//! come from anywhere.

mod capabilities;
mod commit;
mod error;
mod factory;
mod fetch;
mod log;
mod settings;

pub use capabilities::Capabilities;
pub use commit::{Commit, CommitSetter};
pub use error::{AppendError, Damage, ReadError, StorageError, SyncFailure};
pub use factory::{Factory, Store, SyncBy};
pub use fetch::{Fetch, FetchFailure, FetchSetter, read_waiting};
pub use log::{EpochEnd, Log, ReadLimit, Role, Run, SegmentSummary};
pub use settings::{Backend, Durability, LogSettings};
