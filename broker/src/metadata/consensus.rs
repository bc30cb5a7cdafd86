//! What the metadata needs of a consensus library, and nothing else.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use strandline_core::metadata::{Command, CommandBatch, Outcome, Rejection, State};

/// What became of one command.
pub(super) type Answer = Result<Outcome, Rejection>;

/// A replicated log with the cluster's state machine on it.
pub(super) trait Consensus: fmt::Debug + Send + Sync {
    /// Appends the commands as one entry. Resolves once they are durable on a quorum and applied here, with one answer
    /// for each. On a full disk only [essential](is_essential) commands are taken, and only if all of them are. Dropping
    /// the future does not take the entry back.
    fn propose(&self, commands: CommandBatch) -> BoxFuture<'_, Result<Vec<Answer>, ProposeError>>;

    /// The state as far as it is applied here, and its changes.
    fn changes(&self) -> watch::Receiver<Arc<State>>;

    /// Whether somebody is known to lead, so that a proposal has a chance.
    fn is_leader_known(&self) -> bool;

    /// Stops and closes the log. Proposals fail from then on; repeating it is harmless.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

/// Whether a command has to work on a full disk, too: it frees space or lets a broker start.
pub(super) fn is_essential(command: &Command) -> bool {
    match command {
        Command::CreateStream { .. }
        | Command::CreateInternalStream { .. }
        | Command::RestoreStream { .. }
        | Command::LogsCreated { .. }
        | Command::AddDataKey { .. }
        | Command::RewrapDataKeys { .. } => false,
        Command::Plugins { change, .. } => !change.is_growth(),
        Command::FoundCluster { .. }
        | Command::RegisterBroker { .. }
        | Command::UpdateStream { .. }
        | Command::DeleteStream { .. }
        | Command::ElectLeader { .. }
        // What is archived leaves the disk.
        | Command::BeginArchive { .. }
        | Command::RenewArchive { .. }
        | Command::ArchivesMade { .. }
        | Command::LogsRemoved { .. }
        | Command::ModulesRemoved { .. } => true,
    }
}

/// Why commands were not agreed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProposeError {
    /// There is no room for the log. Nothing has happened; it works again once there is room.
    #[error("no space left for the metadata log: free some, then try again")]
    DiskFull,
    /// The commands do not fit an entry. Nothing has happened.
    #[error("a change of the metadata takes {bytes} bytes, over the limit of {max}")]
    TooLarge {
        /// Size of the commands as they are stored.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Nobody leads the metadata at the moment.
    #[error("no known metadata leader")]
    NoLeader,
    /// The broker is stopping. Nothing has happened.
    #[error("broker is stopping")]
    Stopping,
    /// The log has failed. This alone leaves open whether the commands have taken effect; a restart of the broker tells.
    #[error("metadata log has failed, restart the broker: {cause}")]
    Failed {
        /// What failed.
        cause: String,
    },
}
