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

use strandline_codec::PackBuffers;
use strandline_core::storage::{Store, SyncBy, SyncFailure};
use strandline_core::{Clock, LeaderEpoch, LogId, Offset};

use super::answer::Answerer;
use super::chunk::Chunk;
use super::handle::{PartitionHandle, PartitionInfo};
use super::inbox_memory::InboxMemory;
use super::owner::{BatchLimits, Owner, Turn, Unanswered};
use super::record_buffers::RecordBuffers;
use super::turns::{TURN_MAX_BYTES, Turns};
use super::watch::ReadState;
use crate::metrics::{Metrics, Refusal};

/// Up to here a turn is synced on the appender's own thread.
const OWN_SYNC_MAX_BYTES: usize = 32 << 10;
/// Memory of rejected messages that wait to be answered; more are dropped, their publishers hear nothing.
pub(crate) const REJECTED_MAX_BYTES: usize = 16 << 20;

/// What bounds an appender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppenderLimits {
    /// One batch.
    pub(crate) batch: BatchLimits,
    /// Partitions that wait for a sync at a time: each holds a file open meanwhile.
    pub(crate) max_unsynced: usize,
}

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
    inboxes: Arc<InboxMemory>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Events {
    ready: Vec<LogId>,
    synced: Vec<Synced>,
    rejected: Vec<(Arc<PartitionHandle>, Chunk)>,
    rejected_bytes: usize,
    control: Vec<Control>,
    sleeping: bool,
}

#[derive(Debug)]
struct Synced {
    log: LogId,
    end: Offset,
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
            let bytes = events.rejected_bytes + chunk.bytes();
            if bytes <= REJECTED_MAX_BYTES || events.rejected.is_empty() {
                events.rejected_bytes = bytes;
                events.rejected.push((partition, chunk));
            } else {
                chunk.tally(|reject| self.metrics().refused(Refusal::Partition(reject), 1));
            }
        });
    }

    /// Memory of rejected messages that wait to be answered.
    pub(crate) fn rejected_bytes(&self) -> usize {
        self.shared.events.lock().rejected_bytes
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

    /// Memory of the inboxes.
    pub(super) fn inboxes(&self) -> &Arc<InboxMemory> {
        &self.shared.inboxes
    }

    /// Memory of buffers for records that wait to be used again.
    pub(crate) fn spare_bytes(&self) -> usize {
        self.shared.buffers.spare_bytes()
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
        limits: AppenderLimits,
        clock: Arc<dyn Clock>,
        answerer: Answerer,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let handle = AppenderHandle {
            shared: Arc::new(Shared {
                buffers: RecordBuffers::default(),
                inboxes: Arc::default(),
                events: Mutex::default(),
                wake: Condvar::new(),
                metrics,
            }),
        };
        let appender = Loop {
            handle: handle.clone(),
            store,
            limits: limits.batch,
            clock,
            answerer,
            owners: HashMap::new(),
            pack_buffers: PackBuffers::default(),
            turns: Turns::new(limits.max_unsynced),
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
    pack_buffers: PackBuffers,
    turns: Turns,
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
            // At once: these answers shall not wait for the sync of what comes next.
            self.answerer.flush();
            for log in events.ready.drain(..) {
                self.turns.is_ready(log);
            }
            self.append_ready();
            for control in events.control.drain(..) {
                stopping |= self.control(control);
            }
            self.answerer.flush();
            if stopping && self.turns.unsynced_bytes() == 0 && self.nothing_waits() {
                break;
            }
        }
        for (_, mut owner) in std::mem::take(&mut self.owners) {
            let unanswered = owner.close(ReadState::Stopping);
            self.settle(owner.handle.info(), &unanswered);
        }
        self.answerer.flush();
    }

    /// Sleeps until there is something to do, and takes all of it.
    fn wait(&self, events: &mut Events, stopping: bool) {
        let mut shared = self.handle.shared.events.lock();
        loop {
            let has_news = !shared.ready.is_empty()
                || !shared.synced.is_empty()
                || !shared.control.is_empty()
                || !shared.rejected.is_empty();
            let is_done = stopping && self.turns.unsynced_bytes() == 0;
            if has_news || self.turns.somebody_may_go() || is_done {
                break;
            }
            shared.sleeping = true;
            self.handle.shared.wake.wait(&mut shared);
        }
        shared.sleeping = false;
        std::mem::swap(&mut events.ready, &mut shared.ready);
        std::mem::swap(&mut events.synced, &mut shared.synced);
        std::mem::swap(&mut events.rejected, &mut shared.rejected);
        std::mem::swap(&mut events.control, &mut shared.control);
        shared.rejected_bytes = 0;
    }

    /// Gives each that is ready one turn, then has all of it synced. Who is not done is ready again.
    fn append_ready(&mut self) {
        let before = self.handle.shared.metrics.append.records.get();
        let (mut appended, mut logs) = (0, 0);
        for _ in 0..self.turns.ready() {
            let Some(log) = self.turns.next() else { break };
            let bytes = self.turn(log);
            (appended, logs) = (appended + bytes, logs + u32::from(bytes > 0));
        }
        if appended > 0 {
            let append = &self.handle.shared.metrics.append;
            append.sync_records.observe(append.records.get() - before);
            let lone = logs == 1 && self.turns.ready() == 0 && appended <= OWN_SYNC_MAX_BYTES;
            self.store.sync(if lone { SyncBy::Caller } else { SyncBy::Store });
        }
    }

    /// One partition's turn; returns the bytes that were appended.
    fn turn(&mut self, log: LogId) -> usize {
        let Some(owner) = self.owners.get_mut(&log) else {
            return 0;
        };
        let mut chunks = Vec::new();
        if owner.handle.take(TURN_MAX_BYTES, &mut chunks) {
            self.turns.is_ready(log);
        }
        if chunks.is_empty() {
            return 0;
        }
        let now = self.clock.now();
        if let Some(oldest) = chunks.first() {
            let append = &self.handle.shared.metrics.append;
            append.inbox_time.observe_time(now.since(oldest.received));
        }
        match owner.append(chunks, now, &mut self.pack_buffers) {
            Turn::Accepted {
                commit,
                end,
                appended,
                waiting,
            } => {
                self.unsynced(log, waiting);
                let handle = self.handle.clone();
                let accepted_at = Instant::now();
                commit.on_done(move |outcome| {
                    let synced_at = Instant::now();
                    handle.tell(|events| {
                        events.synced.push(Synced {
                            log,
                            end,
                            outcome,
                            accepted_at,
                            synced_at,
                        });
                    });
                });
                appended
            }
            Turn::Behind { waiting } => {
                self.unsynced(log, waiting);
                0
            }
            Turn::Answer(chunks) => {
                self.answerer.answer(owner.handle.info(), &chunks, now);
                0
            }
        }
    }

    fn synced(&mut self, synced: Synced) {
        let append = &self.handle.shared.metrics.append;
        let waited = synced.synced_at.saturating_duration_since(synced.accepted_at);
        append.commit_time.observe_time(waited);
        let Some(owner) = self.owners.get_mut(&synced.log) else {
            return;
        };
        let handle = Arc::clone(&owner.handle);
        let unanswered = match synced.outcome {
            Ok(()) => owner.durable_to(synced.end),
            Err(failure) => {
                let info = handle.info();
                tracing::error!(stream = %info.stream, partition = %info.partition, error = %failure.source,
                    "sync failed, the partition takes no more writes until the broker is started again");
                owner.sync_failed()
            }
        };
        self.settle(handle.info(), &unanswered);
        let append = &self.handle.shared.metrics.append;
        append.answer_time.observe_time(synced.synced_at.elapsed());
    }

    /// Takes note of what a turn has left to wait for a sync.
    fn unsynced(&mut self, log: LogId, bytes: usize) {
        self.turns.appended(log, bytes);
        self.handle.shared.metrics.append.unsynced.add(bytes as i64);
    }

    /// Answers what waits no longer.
    fn settle(&mut self, info: &PartitionInfo, unanswered: &Unanswered) {
        self.answerer.answer(info, &unanswered.chunks, self.clock.now());
        self.turns.settled(info.log, unanswered.bytes);
        let unsynced = &self.handle.shared.metrics.append.unsynced;
        unsynced.add(-(unanswered.bytes as i64));
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
                    let unanswered = owner.close(state);
                    self.settle(owner.handle.info(), &unanswered);
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
            .all(|owner| !owner.has_waiting() && owner.handle.queued_bytes() == 0)
    }
}
