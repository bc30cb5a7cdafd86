//! The thread that owns the partitions of one store.
//!
//! It takes what has queued, appends it partition by partition, asks for one sync for all of it, and answers what has
//! become durable. While a sync is in flight it goes on with the next chunks; a lone record is synced on this thread,
//! which saves two switches between threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use strandline_core::storage::{Store, SyncBy, SyncFailure};
use strandline_core::{Clock, LeaderEpoch, LogId, Offset};

use super::answer::Answerer;
use super::chunk::Chunk;
use super::handle::PartitionHandle;
use super::owner::{BatchLimits, Owner, Turn};
use super::record_buffers::RecordBuffers;
use super::watch::ReadState;
use crate::metrics::Metrics;

/// Bytes that a partition may append before the next partition has its turn.
const TURN_MAX_BYTES: usize = 4 << 20;
/// Bytes appended and not yet durable at which the appender waits for the sync.
const UNSYNCED_MAX_BYTES: usize = 64 << 20;
/// Up to here a turn is synced on the appender's own thread.
const OWN_SYNC_MAX_BYTES: usize = 32 << 10;
/// Chunks of rejected messages that wait to be answered; more are dropped, their publishers hear nothing.
const REJECTED_MAX_CHUNKS: usize = 10_000;

/// A way to the appender, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AppenderHandle {
    shared: Arc<Shared>,
}

/// The running thread; [`Appender::stop`] ends it.
#[derive(Debug)]
pub(crate) struct Appender {
    handle: AppenderHandle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    events: Mutex<Events>,
    wake: Condvar,
    buffers: RecordBuffers,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Events {
    ready: Vec<LogId>,
    synced: Vec<Synced>,
    rejected: Vec<(Arc<PartitionHandle>, Chunk)>,
    control: Vec<Control>,
    sleeping: bool,
}

#[derive(Debug)]
struct Synced {
    log: LogId,
    end: Offset,
    bytes: usize,
    outcome: Result<(), SyncFailure>,
    accepted_at: Instant,
    synced_at: Instant,
}

#[derive(Debug)]
enum Control {
    Add {
        handle: Arc<PartitionHandle>,
        epoch: LeaderEpoch,
        done: oneshot::Sender<()>,
    },
    Remove {
        log: LogId,
        state: ReadState,
        done: oneshot::Sender<()>,
    },
    /// Answered at once, which shows that the thread works.
    Ping {
        done: oneshot::Sender<()>,
    },
    Stop,
}

impl AppenderHandle {
    /// Says that a partition's inbox is no longer empty.
    pub(super) fn schedule(&self, log: LogId) {
        self.tell(|events| events.ready.push(log));
    }

    /// Has messages answered that never got into the inbox.
    pub(super) fn answer(&self, partition: Arc<PartitionHandle>, chunk: Chunk) {
        self.tell(|events| {
            if events.rejected.len() < REJECTED_MAX_CHUNKS {
                events.rejected.push((partition, chunk));
            }
        });
    }

    /// Gives a partition to the appender. It takes messages when this returns.
    pub(crate) async fn add(&self, handle: Arc<PartitionHandle>, epoch: LeaderEpoch) {
        let (done, added) = oneshot::channel();
        self.tell(|events| events.control.push(Control::Add { handle, epoch, done }));
        // An error means that the appender has stopped; then there is nothing to wait for.
        let _ = added.await;
    }

    /// Takes a partition from the appender: what it has accepted is answered as refused, its readers end with `state`.
    pub(crate) async fn remove(&self, log: LogId, state: ReadState) {
        let (done, removed) = oneshot::channel();
        self.tell(|events| events.control.push(Control::Remove { log, state, done }));
        let _ = removed.await;
    }

    /// Buffers for the records of the next chunks.
    pub(super) fn buffers(&self) -> &RecordBuffers {
        &self.shared.buffers
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&self) -> oneshot::Receiver<()> {
        let (done, answered) = oneshot::channel();
        self.tell(|events| events.control.push(Control::Ping { done }));
        answered
    }

    /// What the appender and its partitions count into.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    fn tell(&self, change: impl FnOnce(&mut Events)) {
        let mut events = self.shared.events.lock();
        change(&mut events);
        let wake = std::mem::replace(&mut events.sleeping, false);
        drop(events);
        if wake {
            self.shared.wake.notify_one();
        }
    }
}

impl Appender {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        limits: BatchLimits,
        clock: Arc<dyn Clock>,
        answerer: Answerer,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let handle = AppenderHandle {
            shared: Arc::new(Shared {
                buffers: RecordBuffers::default(),
                events: Mutex::default(),
                wake: Condvar::new(),
                metrics,
            }),
        };
        let appender = Loop {
            handle: handle.clone(),
            store,
            limits,
            clock,
            answerer,
            owners: HashMap::new(),
            unsynced_bytes: 0,
        };
        let thread = std::thread::Builder::new()
            .name("appender".to_owned())
            .spawn(move || appender.run())?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    pub(crate) fn handle(&self) -> &AppenderHandle {
        &self.handle
    }

    /// Appends what has queued, syncs it, answers it and ends the thread. Blocks.
    pub(crate) fn stop(mut self) {
        self.handle.tell(|events| events.control.push(Control::Stop));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the appender ended with a panic");
        }
    }
}

struct Loop {
    handle: AppenderHandle,
    store: Arc<dyn Store>,
    limits: BatchLimits,
    clock: Arc<dyn Clock>,
    answerer: Answerer,
    owners: HashMap<LogId, Owner>,
    unsynced_bytes: usize,
}

impl Loop {
    fn run(mut self) {
        let mut events = Events::default();
        let mut stopping = false;
        loop {
            self.wait(&mut events, stopping);
            for synced in events.synced.drain(..) {
                self.synced(synced);
            }
            for (partition, chunk) in events.rejected.drain(..) {
                self.answerer.answer(partition.info(), &[chunk], self.clock.now());
            }
            self.append_ready(&mut events.ready);
            for control in events.control.drain(..) {
                stopping |= self.control(control);
            }
            self.answerer.flush();
            if stopping && self.unsynced_bytes == 0 && self.nothing_waits() {
                break;
            }
        }
        for (_, mut owner) in std::mem::take(&mut self.owners) {
            let chunks = owner.close(ReadState::Stopping);
            self.answerer
                .answer(owner.handle.info(), &chunks, self.clock.now());
        }
        self.answerer.flush();
    }

    /// Sleeps until there is something to do, and takes all of it.
    fn wait(&self, events: &mut Events, stopping: bool) {
        let mut shared = self.handle.shared.events.lock();
        let full = self.unsynced_bytes > UNSYNCED_MAX_BYTES;
        loop {
            let has_input = !shared.ready.is_empty() && !full;
            let has_news =
                !shared.synced.is_empty() || !shared.control.is_empty() || !shared.rejected.is_empty();
            if has_input || has_news || (stopping && self.unsynced_bytes == 0) {
                break;
            }
            shared.sleeping = true;
            self.handle.shared.wake.wait(&mut shared);
        }
        shared.sleeping = false;
        if !full {
            std::mem::swap(&mut events.ready, &mut shared.ready);
        }
        std::mem::swap(&mut events.synced, &mut shared.synced);
        std::mem::swap(&mut events.rejected, &mut shared.rejected);
        std::mem::swap(&mut events.control, &mut shared.control);
    }

    fn append_ready(&mut self, ready: &mut Vec<LogId>) {
        let before = self.handle.shared.metrics.append.records.get();
        let mut appended = 0;
        let mut again = Vec::new();
        for log in ready.drain(..) {
            let (bytes, more) = self.turn(log);
            appended += bytes;
            if more {
                again.push(log);
            }
        }
        if appended > 0 {
            self.unsynced_bytes += appended;
            let append = &self.handle.shared.metrics.append;
            append.sync_records.observe(append.records.get() - before);
            let lone = again.is_empty() && appended <= OWN_SYNC_MAX_BYTES;
            self.store.sync(if lone { SyncBy::Caller } else { SyncBy::Store });
        }
        if !again.is_empty() {
            self.handle.tell(|events| events.ready.append(&mut again));
        }
    }

    /// One partition's turn: bytes appended, and whether its inbox holds more.
    fn turn(&mut self, log: LogId) -> (usize, bool) {
        let Some(owner) = self.owners.get_mut(&log) else {
            return (0, false);
        };
        let mut chunks = Vec::new();
        let more = owner.handle.inbox.take(TURN_MAX_BYTES, &mut chunks);
        if chunks.is_empty() {
            return (0, more);
        }
        let now = self.clock.now();
        if let Some(oldest) = chunks.first() {
            let append = &self.handle.shared.metrics.append;
            append.inbox_time.observe_time(now.since(oldest.received));
        }
        match owner.append(chunks, now) {
            Turn::Accepted { commit, end, bytes } => {
                let handle = self.handle.clone();
                let accepted_at = Instant::now();
                commit.on_done(move |outcome| {
                    let synced_at = Instant::now();
                    handle.tell(|events| {
                        events.synced.push(Synced {
                            log,
                            end,
                            bytes,
                            outcome,
                            accepted_at,
                            synced_at,
                        });
                    });
                });
                (bytes, more)
            }
            Turn::Answer(chunks) => {
                self.answerer.answer(owner.handle.info(), &chunks, now);
                (0, more)
            }
        }
    }

    fn synced(&mut self, synced: Synced) {
        self.unsynced_bytes = self.unsynced_bytes.saturating_sub(synced.bytes);
        let append = &self.handle.shared.metrics.append;
        let waited = synced.synced_at.saturating_duration_since(synced.accepted_at);
        append.commit_time.observe_time(waited);
        let now = self.clock.now();
        let Some(owner) = self.owners.get_mut(&synced.log) else {
            return;
        };
        match synced.outcome {
            Ok(()) => {
                while let Some(chunks) = owner.durable_to(synced.end) {
                    self.answerer.answer(owner.handle.info(), &chunks, now);
                }
            }
            Err(failure) => {
                let info = owner.handle.info();
                tracing::error!(stream = %info.stream, partition = %info.partition, error = %failure.source,
                    "sync failed, the partition takes no more writes until the broker is started again");
                let chunks = owner.sync_failed();
                self.answerer.answer(owner.handle.info(), &chunks, now);
            }
        }
        let append = &self.handle.shared.metrics.append;
        append.answer_time.observe_time(synced.synced_at.elapsed());
    }

    fn control(&mut self, control: Control) -> bool {
        match control {
            Control::Add { handle, epoch, done } => {
                let log = handle.info().log;
                self.owners.insert(log, Owner::new(handle, epoch, self.limits));
                let _ = done.send(());
                false
            }
            Control::Remove { log, state, done } => {
                if let Some(mut owner) = self.owners.remove(&log) {
                    let chunks = owner.close(state);
                    self.answerer
                        .answer(owner.handle.info(), &chunks, self.clock.now());
                }
                let _ = done.send(());
                false
            }
            Control::Ping { done } => {
                let _ = done.send(());
                false
            }
            Control::Stop => true,
        }
    }

    fn nothing_waits(&self) -> bool {
        self.owners
            .values()
            .all(|owner| !owner.has_waiting() && owner.handle.inbox.queued_bytes() == 0)
    }
}
