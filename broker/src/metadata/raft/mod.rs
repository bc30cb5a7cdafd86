//! Consensus through openraft 0.9. No other module names a type of it.
#![allow(
    clippy::result_large_err,
    reason = "openraft's errors are as large as they are, and rare"
)]

mod convert;
mod log_store;
mod machine;
mod network;
mod node;
mod snapshot;
mod stored;
mod types;
mod view;

#[cfg(test)]
mod tests;

pub(super) use node::{RaftNode, RaftSettings};
