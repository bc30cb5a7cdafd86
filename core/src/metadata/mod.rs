//! The cluster's state machine: what exists, and what the commands of the metadata log do to it.
//!
//! [`State`] is a value and [`apply`] a pure function on it: no clock, no randomness, nothing that two brokers with the
//! same log could do differently. Whatever needs a choice (the time, the brokers of a new partition) is made by the
//! proposer and travels in the [`Command`]. What is written to disk or sent to a peer says its format, so that a later
//! version can add to it and an older one refuses by name what it does not know.

mod apply;
mod archive;
mod batch;
mod broker;
mod cluster;
mod command;
mod data_key;
mod entry;
mod image;
mod placement;
mod plugins;
mod restore;
mod state;
mod tagged;
mod verify;

#[cfg(test)]
mod tests;

pub use apply::apply;
pub use archive::{ArchivePlace, InvalidPlace, PlaceRoot};
pub use batch::CommandBatch;
pub use broker::Broker;
pub use cluster::{ClusterId, InvalidClusterId};
pub use command::{Command, Outcome, Rejection};
pub use data_key::{DataKey, MasterKeyId, Rewrap, WrappedKey};
pub use entry::{PartitionEntry, StreamEntry};
pub use placement::{Placement, Planner};
pub use plugins::{
    AttachmentChange, NewAttachment, PluginChange, PluginOutcome, PluginRegistry, PluginRejection,
};
pub use restore::{RestoredPartition, RestoredStream};
pub use state::{MAX_CLUSTER_PARTITIONS, State};
pub use verify::InvalidState;
