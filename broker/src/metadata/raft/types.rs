//! The types that consensus is told to use.

use std::io::Cursor;

use serde::{Deserialize, Serialize};

use strandline_core::metadata::{CommandBatch, Outcome, Rejection};

openraft::declare_raft_types!(
    /// Ties our commands and answers to openraft.
    pub(super) TypeConfig:
        D = CommandBatch,
        R = Answers,
        NodeId = u64,
        Node = openraft::BasicNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(super) type Entry = openraft::Entry<TypeConfig>;
pub(super) type EntryId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Raft = openraft::Raft<TypeConfig>;
pub(super) type Membership = openraft::StoredMembership<u64, openraft::BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, openraft::BasicNode>;
pub(super) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StorageIoError = openraft::StorageIOError<u64>;

/// What the state machine answers to an entry: one answer for each of its commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers(pub(super) Vec<Result<Outcome, Rejection>>);
