//! The metadata of the cluster: streams, brokers, epochs. What is acked here is on disk and applied by
//! [`strandline_core::metadata::apply`].
//!
//! [`MetadataHandle`] is what the rest of the broker uses. Behind it a proposer gathers what is asked at the same time
//! into one entry of the log, and [`Consensus`] agrees on it; only the `raft` module knows how.

mod consensus;
mod document;
mod error;
mod handle;
mod identity;
mod look;
mod proposer;
mod raft;
mod wal;

#[cfg(test)]
mod tests;

pub(crate) use consensus::ProposeError;
pub(crate) use document::DocumentError;
pub(crate) use error::{ChangeError, OpenError};
pub(crate) use handle::MetadataHandle;
pub(crate) use identity::ServerIdentity;
pub(crate) use look::{Look, look};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use raft::read_files;
pub(crate) use wal::WalError;
