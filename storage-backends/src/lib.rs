//! Storage engines of Strandline.
//!
//! Each implements the contract of `strandline_core::storage` and passes the same suite, which is part of this crate
//! (feature `conformance`) so that anybody's own engine can be run through it:
//!
//! - [`SegmentFactory`]: append-only segment files, the default;
//! - [`RedbFactory`]: an embedded database, one file for all logs of a store;
//! - [`MemoryFactory`]: everything in memory, for tests and for streams that need not survive a restart;
//! - `conformance`: the suite.
//!
//! [`TailCache`] wraps any log and keeps its newest records in memory. All file access goes through
//! `strandline_core::disk`; [`SystemDisk`] is the operating system's.

pub mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contained;
mod directory;
mod disk;
mod epochs;
mod files;
mod memory;
mod redb;
mod repair;
mod segment;
mod tail_cache;
mod tail_memory;
#[cfg(feature = "tiered")]
pub mod tiered;

pub use self::redb::{
    Compacted, RedbFactory, check_redb_store, compact_redb, dump_redb_log, plan_redb_repair, redb_store_bytes,
};
pub use contained::panic_is_contained;
pub use disk::SystemDisk;
#[cfg(any(test, feature = "test-util"))]
pub use disk::sim;
pub use memory::MemoryFactory;
pub use repair::{RepairAction, RepairPlan};
pub use segment::{
    SegmentFactory, check_segment_log, check_segment_store, dump_segment_file, dump_segment_log,
    plan_segment_repair, segment_log_bytes,
};
pub use tail_cache::TailCache;
pub use tail_memory::TailMemory;
