//! The owner of one partition: turns chunks into batches and durable batches into answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strandline_codec::{PackBuffers, PackError, Packer};
use strandline_core::partition::{AckQueue, Partition, Refusal};
use strandline_core::record::{Batch, BatchBuilder, HEADER_BYTES, MAX_BUILT_BYTES, RecordIter};
use strandline_core::storage::{AppendError, Commit, Log};
use strandline_core::stream::AckPolicy;
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::chunk::{Chunk, Entry, Fate, Reject};
use super::handle::PartitionHandle;
use super::watch::ReadState;

/// What a partition appends as one batch at the most; readers fetch whole batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    /// Records.
    pub(crate) max_records: u32,
    /// Bytes; one record is taken whatever its size.
    pub(crate) max_bytes: usize,
}

/// State of a partition that only its appender touches.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) handle: Arc<PartitionHandle>,
    state: Partition,
    limits: BatchLimits,
    builder: BatchBuilder,
    batches: Vec<Batch>,
    packer: Packer,
    /// The packed forms of `batches`; empty where they are stored as they are.
    packed: Vec<Batch>,
    waiting: AckQueue<Unanswered>,
}

/// Chunks that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    pub(super) chunks: Vec<Chunk>,
    /// What they count for: their memory or what was appended of them, whichever is more.
    pub(super) bytes: usize,
}

impl Unanswered {
    fn add(&mut self, next: Self) {
        self.bytes += next.bytes;
        if self.chunks.is_empty() {
            self.chunks = next.chunks;
        } else {
            self.chunks.extend(next.chunks);
        }
    }
}

/// What one turn of a partition did.
#[derive(Debug)]
pub(super) enum Turn {
    /// Records were accepted; the handle says when they are durable. `waiting` is [`Unanswered::bytes`] of the turn.
    Accepted {
        commit: Commit,
        end: Offset,
        appended: usize,
        waiting: usize,
    },
    /// Nothing was appended. The answers wait for those of what was appended before.
    Behind { waiting: usize },
    /// Nothing was appended, and these chunks can be answered at once.
    Answer(Vec<Chunk>),
}

impl Owner {
    pub(super) fn new(handle: Arc<PartitionHandle>, epoch: LeaderEpoch, limits: BatchLimits) -> Self {
        let log = handle.log();
        let control = handle.info().concurrency_control;
        let packer = handle.info().packing.packer();
        let state = Partition::opened(epoch, log.end(), log.last_time(), control);
        Self {
            handle,
            state,
            limits,
            builder: BatchBuilder::new(),
            batches: Vec::new(),
            packer,
            packed: Vec::new(),
            waiting: AckQueue::default(),
        }
    }

    /// Admits the messages of these chunks and appends them. `now` is the wall clock's time.
    pub(super) fn append(
        &mut self,
        mut chunks: Vec<Chunk>,
        now: Timestamp,
        buffers: &mut PackBuffers,
    ) -> Turn {
        let time = self.state.stamp(now);
        let mut coming = chunks.iter().map(Chunk::record_bytes).sum();
        for chunk in &mut chunks {
            self.admit(chunk, time, &mut coming);
        }
        self.finish_batch();
        if self.batches.is_empty() {
            return self.answer_in_turn(chunks);
        }
        self.handle.received.note(time);
        if let Err(error) = self.pack(buffers) {
            self.batches.clear();
            self.packed.clear();
            return self.withdraw(chunks, Reject::LogFailed, &error);
        }
        let appended = self.stored().iter().map(|batch| batch.bytes().len()).sum();
        let waiting = memory(&chunks).max(appended);
        let begun = Instant::now();
        let result = if self.packed.is_empty() {
            self.handle.log().append(&self.batches)
        } else {
            self.handle.log().append_packed(&self.packed, &self.batches)
        };
        if result.is_ok() {
            self.count(begun.elapsed());
        }
        self.batches.clear();
        self.packed.clear();
        if self.handle.info().literal_subject.is_some() {
            // What waits for the sync is then small, however much is not synced.
            for chunk in &mut chunks {
                self.handle.give_back(chunk.take_records());
            }
        }
        match result {
            Ok(commit) => {
                self.state.accepted();
                let end = self.state.next();
                let bytes = waiting;
                self.waiting.push(end, Unanswered { chunks, bytes });
                Turn::Accepted {
                    commit,
                    end,
                    appended,
                    waiting,
                }
            }
            Err(error) => self.refuse(chunks, &error),
        }
    }

    /// Takes note that everything below `end` is durable, and hands out the chunks to answer.
    pub(super) fn durable_to(&mut self, end: Offset) -> Unanswered {
        if let Some(committed) = self.state.durable_to(end) {
            self.handle.watch.advance(committed);
        }
        let mut all = Unanswered::default();
        while let Some(waiting) = self.waiting.pop_up_to(self.state.committed_end()) {
            all.add(waiting);
        }
        all
    }

    /// Takes note that what waits will never be durable, and hands it out as refused.
    pub(super) fn sync_failed(&mut self) -> Unanswered {
        self.handle.fail();
        self.refuse_waiting(Reject::LogFailed)
    }

    /// Closes the inbox and ends the readers; hands out everything unanswered as refused. What was in the inbox does not
    /// count.
    pub(super) fn close(&mut self, state: ReadState) -> Unanswered {
        let mut unanswered = self.refuse_waiting(Reject::Closed);
        let inbox = self.handle.close_inbox();
        unanswered
            .chunks
            .extend(inbox.into_iter().map(|chunk| refused(chunk, Reject::Closed)));
        self.handle.close_readers(state);
        unanswered
    }

    /// Whether appends wait for a sync.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn count(&self, time: Duration) {
        let append = &self.handle.metrics().append;
        append.append_time.observe_time(time);
        for batch in self.stored() {
            let (records, bytes) = (u64::from(batch.header().records), batch.bytes().len() as u64);
            append.records.add(records);
            append.bytes.add(bytes);
            append.batch_records.observe(records);
            append.batch_bytes.observe(bytes);
        }
    }

    /// Packs what is to be appended; all of it, or nothing is stored.
    fn pack(&mut self, buffers: &mut PackBuffers) -> Result<(), PackError> {
        self.packed.clear();
        self.packer.set_codec(self.handle.info().packing.codec());
        if self.packer.is_plain() {
            return Ok(());
        }
        for batch in &self.batches {
            self.packed.push(self.packer.pack(batch, buffers)?);
        }
        Ok(())
    }

    /// The batches as they go into the log.
    fn stored(&self) -> &[Batch] {
        if self.packed.is_empty() {
            &self.batches
        } else {
            &self.packed
        }
    }

    /// Puts the records of a chunk into batches. `coming` are the bytes of records of this turn that are still to come.
    fn admit(&mut self, chunk: &mut Chunk, time: Timestamp, coming: &mut usize) {
        let mut records = RecordIter::new(&chunk.records);
        let mut first = None;
        for entry in &mut chunk.entries {
            if !entry.has_record {
                continue;
            }
            let Some(record) = records.next() else { break };
            if entry.fate != Fate::Append {
                *coming = coming.saturating_sub(record.bytes());
                continue;
            }
            match self
                .check(entry, record.bytes())
                .and_then(|()| self.state.admit(entry.expected).map_err(Reject::from))
            {
                Ok(offset) => {
                    first.get_or_insert(offset);
                    if self.is_full(record.bytes(), offset, time) {
                        self.finish_batch();
                    }
                    if self.builder.records() == 0 {
                        self.builder.reserve((*coming).min(self.limits.max_bytes));
                    }
                    self.builder.push(&record, self.state.epoch(), offset, time);
                    *coming = coming.saturating_sub(record.bytes());
                }
                Err(reject) => {
                    entry.fate = Fate::Refused(reject);
                    chunk.has_exceptions = true;
                }
            }
        }
        chunk.first_offset = first.unwrap_or(self.state.next());
    }

    /// A record has to fit a batch, and a publisher that states an offset has to listen for the outcome.
    fn check(&self, entry: &Entry, record_bytes: usize) -> Result<(), Reject> {
        if HEADER_BYTES + record_bytes > MAX_BUILT_BYTES {
            return Err(Reject::TooLarge);
        }
        let silent = entry.policy == AckPolicy::None && entry.answer == super::chunk::Answer::Origin;
        if silent && self.handle.info().concurrency_control {
            Err(Reject::PolicyMissing)
        } else {
            Ok(())
        }
    }

    fn is_full(&self, record_bytes: usize, offset: Offset, time: Timestamp) -> bool {
        let over = self.builder.records() >= self.limits.max_records
            || (self.builder.records() > 0 && self.builder.bytes() + record_bytes > self.limits.max_bytes);
        over || self.builder.must_finish_before(record_bytes, offset, time)
    }

    fn finish_batch(&mut self) {
        self.batches.extend(self.builder.finish());
    }

    /// Nothing of these chunks was appended. Answers still keep their order: they wait behind what was appended before.
    fn answer_in_turn(&mut self, chunks: Vec<Chunk>) -> Turn {
        if self.waiting.is_empty() {
            return Turn::Answer(chunks);
        }
        let bytes = memory(&chunks);
        self.waiting.push(self.state.next(), Unanswered { chunks, bytes });
        Turn::Behind { waiting: bytes }
    }

    fn refuse(&mut self, chunks: Vec<Chunk>, error: &AppendError) -> Turn {
        if matches!(error, AppendError::Poisoned { .. }) {
            self.handle.fail();
        }
        let reject = match error {
            AppendError::Full { .. } => Reject::DiskFull,
            AppendError::Busy { .. } => Reject::Overloaded,
            AppendError::Poisoned { .. } | AppendError::OutOfOrder { .. } => Reject::LogFailed,
            AppendError::Closed => Reject::Closed,
        };
        self.withdraw(chunks, reject, error)
    }

    fn withdraw(&mut self, chunks: Vec<Chunk>, reject: Reject, error: &dyn std::error::Error) -> Turn {
        let OffsetRange { start, end } = self.state.withdrawn();
        let info = self.handle.info();
        tracing::warn!(stream = %info.stream, partition = %info.partition, records = end.since(start), %error,
            "append refused");
        let chunks: Vec<_> = chunks.into_iter().map(|chunk| refused(chunk, reject)).collect();
        self.answer_in_turn(chunks)
    }

    fn refuse_waiting(&mut self, reject: Reject) -> Unanswered {
        let mut all = Unanswered::default();
        self.waiting.drain().for_each(|waiting| all.add(waiting));
        all.chunks.iter_mut().for_each(|chunk| chunk.refuse_all(reject));
        all
    }
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::IncorrectOffset => Self::IncorrectOffset,
            Refusal::Exhausted => Self::LogFailed,
        }
    }
}

fn refused(mut chunk: Chunk, reject: Reject) -> Chunk {
    chunk.refuse_all(reject);
    chunk
}

fn memory(chunks: &[Chunk]) -> usize {
    chunks.iter().map(Chunk::bytes).sum()
}
