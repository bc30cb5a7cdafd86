//! Gathers changes that are asked for at the same time into one entry of the log.
//!
//! Consensus writes and syncs entry by entry, so a burst of creations costs one sync, not one each. While an entry is
//! under way the next one fills.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use strandline_core::Timestamp;
use strandline_core::metadata::{Command, Outcome, Planner, RestoredStream, State};
use strandline_core::stream::StreamDefinition;

use super::consensus::{Answer, Consensus, is_essential};
use super::{ChangeError, ProposeError};

/// Most changes that wait for the proposer; who comes later waits to hand his in.
pub(super) const MAX_WAITING_CHANGES: usize = 1024;
/// Most changes of one entry.
const MAX_BATCH_CHANGES: usize = 256;
/// Most replicas and log ids in the changes of one entry, unless a single change has more: they make up most of its size.
pub(super) const MAX_BATCH_ITEMS: u64 = 4096;
/// Bytes of text that count as one of these.
const BYTES_PER_ITEM: usize = 512;

/// A change that is asked for.
#[derive(Debug)]
pub(super) enum Change {
    /// Create a stream on brokers of the proposer's choice.
    Create {
        definition: Box<StreamDefinition>,
        now: Timestamp,
        /// Whether it is one of the server's own.
        internal: bool,
    },
    /// Create a stream that another cluster has archived, in the same way.
    Restore {
        definition: Box<StreamDefinition>,
        restored: Box<RestoredStream>,
        now: Timestamp,
    },
    /// As it is.
    Plain(Box<Command>),
}

impl Change {
    /// A change that is this command.
    pub(super) fn plain(command: Command) -> Self {
        Self::Plain(Box::new(command))
    }
}

/// A change and where its answer goes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) answer: oneshot::Sender<Result<Outcome, ChangeError>>,
}

/// A command that is ready to be proposed, and where its answer goes.
type Planned = (Command, oneshot::Sender<Result<Outcome, ChangeError>>);

/// The task that proposes. It ends when `stopping` is cancelled and what was waiting is answered.
pub(super) struct Proposer {
    pub(super) consensus: Arc<dyn Consensus>,
    pub(super) state: watch::Receiver<Arc<State>>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) stopping: CancellationToken,
}

impl Proposer {
    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        let mut left_over = None;
        loop {
            let first = match left_over.take() {
                Some(request) => Some(request),
                None => tokio::select! {
                    biased;
                    () = self.stopping.cancelled(), if !self.requests.is_closed() => {
                        self.requests.close();
                        continue;
                    }
                    request = self.requests.recv() => request,
                },
            };
            let Some(first) = first else { return };
            let (batch, rest) = self.gather(first);
            left_over = rest;
            self.propose(batch).await;
        }
    }

    /// Takes what waits, up to the limits of an entry; a request that goes beyond them is handed back.
    fn gather(&mut self, first: Request) -> (Vec<Request>, Option<Request>) {
        let mut items = first.items();
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH_CHANGES {
            let Ok(request) = self.requests.try_recv() else {
                break;
            };
            items = items.saturating_add(request.items());
            if items > MAX_BATCH_ITEMS {
                return (batch, Some(request));
            }
            batch.push(request);
        }
        (batch, None)
    }

    async fn propose(&mut self, batch: Vec<Request>) {
        let state = Arc::clone(&self.state.borrow());
        let mut planner = None;
        let mut planned = Vec::new();
        for Request { change, answer } in batch {
            match plan(change, &state, &mut planner) {
                Ok(command) => planned.push((command, answer)),
                Err(refused) => reply(answer, Err(refused)),
            }
        }
        if let Some(essential) = self.propose_planned(planned).await {
            self.propose_planned(essential).await;
        }
    }

    /// Proposes and answers. When the disk is full, what has to work all the same is handed back once it can be proposed
    /// apart from the rest.
    async fn propose_planned(&self, planned: Vec<Planned>) -> Option<Vec<Planned>> {
        if planned.is_empty() {
            return None;
        }
        let commands: Vec<Command> = planned.iter().map(|(command, _)| command.clone()).collect();
        match self.consensus.propose(commands.into()).await {
            Ok(outcomes) => deliver(planned, outcomes),
            Err(ProposeError::DiskFull) if planned.iter().any(|(command, _)| !is_essential(command)) => {
                let (essential, growth): (Vec<_>, _) = planned
                    .into_iter()
                    .partition(|(command, _)| is_essential(command));
                refuse(growth, &ProposeError::DiskFull);
                return Some(essential);
            }
            Err(error) => refuse(planned, &error),
        }
        None
    }
}

impl Request {
    fn items(&self) -> u64 {
        match &self.change {
            Change::Create { definition, .. } | Change::Restore { definition, .. } => {
                u64::from(definition.partitions).saturating_mul(u64::from(definition.replication_factor))
            }
            Change::Plain(command) => match &**command {
                Command::LogsRemoved { logs, .. } | Command::ArchivesMade { logs, .. } => logs.len() as u64,
                Command::RewrapDataKeys { wraps } => wraps.len() as u64,
                Command::ModulesRemoved { modules, .. } => modules.len() as u64,
                // Settings are the largest part by far, and grow when they are quoted.
                Command::Plugins { change, .. } => 1 + (change.weight() / BYTES_PER_ITEM) as u64,
                _ => 1,
            },
        }
    }
}

fn plan(change: Change, state: &State, planner: &mut Option<Planner>) -> Result<Command, ChangeError> {
    match change {
        Change::Plain(command) => Ok(*command),
        Change::Create {
            definition,
            now,
            internal,
        } => {
            let planner = planner.get_or_insert_with(|| Planner::new(state));
            let (placement, definition) = (planner.plan(&definition)?, *definition);
            Ok(if internal {
                Command::CreateInternalStream {
                    definition,
                    placement,
                    now,
                }
            } else {
                Command::CreateStream {
                    definition,
                    placement,
                    now,
                }
            })
        }
        Change::Restore {
            definition,
            restored,
            now,
        } => {
            let planner = planner.get_or_insert_with(|| Planner::new(state));
            let (placement, definition) = (planner.plan(&definition)?, *definition);
            Ok(Command::RestoreStream {
                definition,
                placement,
                restored,
                now,
            })
        }
    }
}

fn deliver(planned: Vec<Planned>, outcomes: Vec<Answer>) {
    let missing = || ProposeError::Failed {
        cause: "no answer from the state machine".to_owned(),
    };
    let mut outcomes = outcomes.into_iter();
    for (_, answer) in planned {
        let outcome = outcomes.next();
        reply(
            answer,
            outcome.map_or_else(
                || Err(missing().into()),
                |outcome| outcome.map_err(ChangeError::from),
            ),
        );
    }
}

fn refuse(planned: Vec<Planned>, error: &ProposeError) {
    for (_, answer) in planned {
        reply(answer, Err(error.clone().into()));
    }
}

/// Who asked may be gone; the change stands all the same.
fn reply(answer: oneshot::Sender<Result<Outcome, ChangeError>>, result: Result<Outcome, ChangeError>) {
    let _ = answer.send(result);
}
