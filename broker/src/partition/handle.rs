//! A led partition as the doors and the readers see it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::watch;

use strandline_core::storage::{Log, ReadError, ReadLimit};
use strandline_core::subject::SubjectFilter;
use strandline_core::{LogId, Offset, PartitionId, StreamName, Timestamp};

use super::ack::Origin;
use super::appender::AppenderHandle;
use super::archive_hold::ArchiveHold;
use super::chunk::{Chunk, ChunkRoom, Reject};
use super::inbox::{Inbox, Refused, Taker};
use super::packing::Packing;
use super::screen::Screen;
use super::screening::Screening;
use super::stage::StageHandle;
use super::watch::{ReadState, Readable, Watch};
use crate::metrics::Metrics;
use strandline_storage_backends::TailCache;

/// What never changes about a partition.
#[derive(Debug)]
pub(crate) struct PartitionInfo {
    pub(crate) log: LogId,
    pub(crate) stream: StreamName,
    pub(crate) partition: PartitionId,
    /// The stream's subject, without a partition's suffix.
    pub(crate) base_subject: SubjectFilter,
    /// The subject that this partition listens to, if it is no wildcard: every record arrived on it then.
    pub(crate) literal_subject: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) concurrency_control: bool,
    /// Largest message, envelope included.
    pub(crate) max_message_bytes: usize,
    /// How its batches are packed.
    pub(crate) packing: Packing,
}

impl PartitionInfo {
    /// The subject that the partition listens to.
    pub(crate) fn subject(&self) -> String {
        self.base_subject.for_partition(self.partition.get())
    }
}

/// A partition that this broker leads. Shared by doors, readers and its owner.
#[derive(Debug)]
pub(crate) struct PartitionHandle {
    info: PartitionInfo,
    log: Arc<TailCache>,
    inbox: Inbox,
    /// The stage between the inbox and the owner; none as long as the stream never had a plugin on its way in.
    screening: OnceLock<Screening>,
    pub(super) watch: Watch,
    pub(super) received: ReceivedTimes,
    failed: AtomicBool,
    maintenance: Mutex<()>,
    archive_hold: ArchiveHold,
    appender: AppenderHandle,
}

/// When messages came in, since this process started.
#[derive(Debug, Default)]
pub(super) struct ReceivedTimes {
    first: AtomicI64,
    latest: AtomicI64,
}

impl ReceivedTimes {
    pub(super) fn note(&self, time: Timestamp) {
        let _ = self
            .first
            .compare_exchange(0, time.nanos(), Ordering::Relaxed, Ordering::Relaxed);
        self.latest.store(time.nanos(), Ordering::Relaxed);
    }
}

impl PartitionHandle {
    pub(crate) fn new(info: PartitionInfo, log: Arc<TailCache>, appender: AppenderHandle) -> Arc<Self> {
        let committed = log.end();
        Arc::new(Self {
            info,
            log,
            inbox: Inbox::new(Arc::clone(appender.inboxes())),
            screening: OnceLock::new(),
            watch: Watch::new(committed),
            received: ReceivedTimes::default(),
            failed: AtomicBool::new(false),
            maintenance: Mutex::default(),
            archive_hold: ArchiveHold::default(),
            appender,
        })
    }

    pub(crate) fn info(&self) -> &PartitionInfo {
        &self.info
    }

    pub(crate) fn log(&self) -> &Arc<TailCache> {
        &self.log
    }

    /// Held by whoever removes or rewrites sealed segments. Held for long at times: to be waited for by threads that may
    /// block only.
    pub(crate) fn maintenance(&self) -> &Mutex<()> {
        &self.maintenance
    }

    /// What an archive keeps others from doing to segments.
    pub(crate) fn archive_hold(&self) -> &ArchiveHold {
        &self.archive_hold
    }

    /// How far the partition can be read now.
    pub(crate) fn readable(&self) -> Readable {
        self.watch.now()
    }

    /// Follows how far the partition can be read.
    pub(crate) fn watch(&self) -> watch::Receiver<Readable> {
        self.watch.subscribe()
    }

    /// When the first and the latest message came in since the broker started; 0 = never.
    pub(crate) fn received_times(&self) -> (Timestamp, Timestamp) {
        let load = |time: &AtomicI64| Timestamp::from_nanos(time.load(Ordering::Relaxed));
        (load(&self.received.first), load(&self.received.latest))
    }

    /// End of the log: first offset that no record has.
    pub(crate) fn end(&self) -> Offset {
        self.log.end()
    }

    /// Offset of the first record at or after a point in time; the log's end when there is none. May read the disk, and looks
    /// into the batch where the log could not.
    ///
    /// # Errors
    ///
    /// The log cannot be read; [`ReadError::Fetching`] where that has to be waited for.
    pub(crate) fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        let found = self.log.offset_at(time)?;
        if found >= self.log.end() {
            return Ok(found);
        }
        let one_batch = ReadLimit {
            end: Offset::MAX,
            max_bytes: 0,
        };
        let run = match self.log.read(found, one_batch) {
            // Retention was faster.
            Err(ReadError::Trimmed { start }) => return Ok(start),
            other => other?,
        };
        match run.batches().next() {
            Some(Ok(batch)) if batch.header().is_packed() => {
                let plain = self.info.packing.unpacker().unpack(&batch)?;
                Ok(plain.first_at_or_after(time).unwrap_or(batch.header().end()))
            }
            _ => Ok(found),
        }
    }

    /// An empty chunk for this partition.
    pub(crate) fn new_chunk(&self, origin: Origin, received: Timestamp, room: ChunkRoom) -> Chunk {
        let records = self.appender.buffers().take(room.record_bytes);
        Chunk::new(origin, received, room, records)
    }

    /// Takes back the buffer of a chunk whose records are appended.
    pub(super) fn give_back(&self, records: BytesMut) {
        self.appender.buffers().give_back(records);
    }

    /// Bytes that wait for the partition's owner.
    pub(crate) fn inbox_bytes(&self) -> usize {
        self.inbox.shown_bytes()
    }

    /// Whether the log takes no more writes until the broker is started again.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Where the partition's numbers go.
    pub(crate) fn metrics(&self) -> &Metrics {
        self.appender.metrics()
    }

    /// Hands messages to the partition's owner if there is room now; they come back otherwise.
    #[expect(
        clippy::result_large_err,
        reason = "it comes back whole, once per chunk and only from a full inbox"
    )]
    pub(crate) fn try_push(self: &Arc<Self>, chunk: Chunk) -> Result<(), Chunk> {
        let (door, messages, bytes) = (chunk.door(), chunk.len(), chunk.record_bytes());
        match self.inbox.try_push(chunk) {
            Ok(taker) => {
                self.metrics().arrived(door, messages, bytes);
                self.tell(taker);
                Ok(())
            }
            Err(Refused::Full(chunk)) => Err(chunk),
            Err(Refused::Closed(chunk)) => {
                self.metrics().arrived(door, messages, bytes);
                self.reject(chunk, Reject::Closed);
                Ok(())
            }
        }
    }

    /// Hands messages to the partition's owner, waiting for room for a bounded time. Messages that find none are
    /// rejected: their publishers are told as they asked to be.
    ///
    /// Cancel safety: a cancelled call loses the chunk without an answer.
    pub(crate) async fn push(self: &Arc<Self>, chunk: Chunk) {
        let Err(chunk) = self.try_push(chunk) else { return };
        let (door, messages, bytes) = (chunk.door(), chunk.len(), chunk.record_bytes());
        let begun = Instant::now();
        let pushed = self.inbox.push(chunk).await;
        self.metrics().publisher_wait.observe_time(begun.elapsed());
        self.metrics().arrived(door, messages, bytes);
        match pushed {
            Ok(taker) => self.tell(taker),
            Err(chunk) => self.reject(chunk, Reject::Overloaded),
        }
    }

    /// Has the records of this partition pass these plugins from the next chunk on; none = no more plugins. Chunks keep
    /// their order over the change.
    pub(crate) fn screen_by(self: &Arc<Self>, screen: Option<Arc<dyn Screen>>, stage: &StageHandle) {
        if screen.is_none() && self.screening.get().is_none() {
            return;
        }
        let new = || Screening::new(stage.clone(), Arc::clone(self.appender.inboxes()));
        let screening = self.screening.get_or_init(new);
        screening.set(screen, &self.inbox);
        screening.wake(self);
    }

    /// The stage before the owner, if there is one.
    pub(super) fn screening(&self) -> Option<&Screening> {
        self.screening.get()
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Takes chunks for one turn of the owner; true when there are more.
    pub(super) fn take(self: &Arc<Self>, max_bytes: usize, out: &mut Vec<Chunk>) -> bool {
        let is_more = self
            .screening
            .get()
            .is_some_and(|screening| screening.take(self, max_bytes, out));
        self.inbox.take(Taker::Owner, max_bytes, out) || is_more
    }

    /// Bytes that wait for the owner or the stage before it.
    pub(super) fn queued_bytes(&self) -> usize {
        let screening = self.screening.get().map_or(0, Screening::queued_bytes);
        self.inbox.queued_bytes() + screening
    }

    /// Takes nothing any more, and hands out what waits.
    pub(super) fn close_inbox(&self) -> Vec<Chunk> {
        let mut chunks = self.screening.get().map_or_else(Vec::new, Screening::close);
        chunks.extend(self.inbox.close());
        chunks
    }

    fn tell(self: &Arc<Self>, taker: Option<Taker>) {
        match (taker, self.screening.get()) {
            (None, _) => {}
            (Some(Taker::Stage), Some(screening)) => screening.wake(self),
            (Some(_), _) => self.schedule(),
        }
    }

    /// Tells the owner that chunks wait.
    pub(super) fn schedule(&self) {
        self.appender.schedule(self.info.log);
    }

    /// Has the messages of a chunk answered as refused.
    pub(super) fn reject(self: &Arc<Self>, mut chunk: Chunk, reject: Reject) {
        chunk.refuse_all(reject);
        tracing::warn!(stream = %self.info.stream, partition = %self.info.partition, messages = chunk.len(), %reject, "messages rejected");
        self.appender.answer(Arc::clone(self), chunk);
    }

    /// Takes note that everything below an offset can be read that somebody else has committed.
    pub(crate) fn advance_to(&self, end: Offset) {
        self.watch.advance(end);
    }

    /// Ends all readers with this state.
    pub(crate) fn close_readers(&self, state: ReadState) {
        self.watch.close(state);
    }
}
