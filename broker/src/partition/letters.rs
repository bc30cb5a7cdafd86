//! Dead letters: records that a plugin sends to another stream, and what became of them there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use strandline_core::record::{Fields, RecordView};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_core::{PartitionId, Timestamp};

use super::ack::{AckSink, Answers, Origin};
use super::chunk::{Answer, Chunk, ChunkRoom, Delivery};
use super::handle::{PartitionHandle, PartitionInfo};
use super::screen::Letter;
use super::stage::StageHandle;

/// Headers that a dead letter has beside those of its record.
pub(super) const LETTER_HEADERS: [&str; 6] = [
    "Strandline-Dead-Letter-Stream",
    "Strandline-Dead-Letter-Partition",
    "Strandline-Dead-Letter-Offset",
    "Strandline-Dead-Letter-Subject",
    "Strandline-Dead-Letter-Plugin",
    "Strandline-Dead-Letter-Reason",
];
/// Offset of a record that has none because it never got into the stream.
const NO_OFFSET: &[u8] = b"-1";

/// Where dead letters go.
pub(crate) trait LetterBox: fmt::Debug + Send + Sync {
    /// The partition of this stream of dead letters that takes those of this partition; none when the stream is not served.
    fn find(&self, stream: &str, partition: PartitionId) -> Option<Arc<PartitionHandle>>;
}

/// Dead letters of one turn, by the partition that they go to.
pub(super) struct Outgoing<'a> {
    origin: &'a PartitionInfo,
    received: Timestamp,
    sent: Arc<Sent>,
    chunks: Vec<(Arc<PartitionHandle>, Chunk)>,
    letters: usize,
}

/// What became of dead letters that were sent.
#[derive(Debug)]
pub(super) struct Sent {
    unanswered: AtomicUsize,
    /// Numbers of letters that are not stored.
    lost: Mutex<Vec<usize>>,
    partition: Arc<PartitionHandle>,
    stage: StageHandle,
}

impl<'a> Outgoing<'a> {
    /// None yet. The stage turns to `partition` again once all of them are answered.
    pub(super) fn new(partition: &'a Arc<PartitionHandle>, stage: &StageHandle, received: Timestamp) -> Self {
        Self {
            origin: partition.info(),
            received,
            sent: Arc::new(Sent {
                // One for the sending itself, so that answers that are faster than it do not end it.
                unanswered: AtomicUsize::new(1),
                lost: Mutex::default(),
                partition: Arc::clone(partition),
                stage: stage.clone(),
            }),
            chunks: Vec::new(),
            letters: 0,
        }
    }

    /// Adds a letter. Letters are numbered in the order in which they are added.
    pub(super) fn add(&mut self, record: &RecordView<'_>, letter: &Letter, to: Option<Arc<PartitionHandle>>) {
        let number = self.letters;
        self.letters += 1;
        let Some(to) = to else {
            self.sent.lost.lock().push(number);
            return;
        };
        let origin = self.origin;
        push(self.chunk(to), number, record, letter, origin);
    }

    /// Sends them. The answers come to what this returns.
    pub(super) fn send(self, runtime: &Handle) -> Arc<Sent> {
        let Self { sent, chunks, .. } = self;
        let letters = chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        sent.unanswered.fetch_add(letters, Ordering::AcqRel);
        for (partition, chunk) in chunks {
            if let Err(chunk) = partition.try_push(chunk) {
                runtime.spawn(async move { partition.push(chunk).await });
            }
        }
        sent.settle(1);
        sent
    }

    fn chunk(&mut self, to: Arc<PartitionHandle>) -> &mut Chunk {
        let known = self.chunks.iter().position(|(known, _)| Arc::ptr_eq(known, &to));
        let index = known.unwrap_or_else(|| {
            let origin = Origin::Session(Arc::clone(&self.sent) as Arc<dyn AckSink>);
            let chunk = to.new_chunk(origin, self.received, ChunkRoom::default());
            self.chunks.push((to, chunk.of_dead_letters()));
            self.chunks.len() - 1
        });
        &mut self.chunks[index].1
    }
}

impl Sent {
    /// Whether all are answered.
    pub(super) fn is_settled(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) == 0
    }

    /// Numbers of the letters that are not stored, as far as known.
    pub(super) fn lost(&self) -> Vec<usize> {
        self.lost.lock().clone()
    }

    fn settle(&self, answers: usize) {
        if self.unanswered.fetch_sub(answers, Ordering::AcqRel) == answers {
            self.stage.wake(&self.partition);
        }
    }
}

impl AckSink for Sent {
    fn expect(&self, _: usize) {}

    fn answer(&self, answers: &Answers<'_>) {
        let lost = answers.iter().filter(|ack| !matches!(ack.outcome, Ok(Some(_))));
        let numbers = lost.filter_map(|ack| ack.correlation_id.parse::<usize>().ok());
        self.lost.lock().extend(numbers);
        self.settle(answers.len());
    }
}

fn push(chunk: &mut Chunk, number: usize, record: &RecordView<'_>, letter: &Letter, origin: &PartitionInfo) {
    let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
    let partition = origin.partition.to_string();
    let values: [&[u8]; 6] = [
        origin.stream.as_str().as_bytes(),
        partition.as_bytes(),
        NO_OFFSET,
        record.subject(),
        letter.plugin.as_bytes(),
        letter.reason.as_bytes(),
    ];
    let own = record.headers().map(|(name, value)| (text(name), value));
    let headers = own.chain(LETTER_HEADERS.into_iter().zip(values));
    let correlation_id = number.to_string();
    let fields = Fields {
        key: record.key(),
        value: record.value(),
        subject: text(record.subject()),
        reply: "",
    };
    let delivery = Delivery {
        policy: AckPolicy::Leader,
        expected: ExpectedOffset::Any,
        answer: Answer::Origin,
        correlation_id: &correlation_id,
        inbox: "",
    };
    chunk.push(&fields, headers, &delivery);
}
