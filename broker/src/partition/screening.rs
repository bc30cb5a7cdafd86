//! The stage of one partition: between its inbox and its owner, for streams with plugins on the way in.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;

use strandline_core::record::{RecordIter, RecordView, append_with_key};

use super::chunk::{Chunk, Fate, Reject};
use super::handle::PartitionHandle;
use super::inbox::{Inbox, Taker};
use super::inbox_memory::InboxMemory;
use super::letters::{Outgoing, Sent};
use super::screen::{FoundKey, Letter, Screen, Screened, Verdict};
use super::stage::{StageHandle, Work};

/// Bytes of chunks that are looked at in one turn, unless a single one is larger.
const TURN_MAX_BYTES: usize = 512 << 10;
/// Bytes that may wait for the owner before the stage waits for it.
const OUT_MAX_BYTES: usize = 8 << 20;
/// How long answers of dead letters are waited for. Longer than a publisher waits for room in an inbox, and than any sync.
const LETTERS_MAX_WAIT: Duration = Duration::from_secs(30);

/// What of a partition lies between inbox and owner.
#[derive(Debug)]
pub(super) struct Screening {
    stage: StageHandle,
    /// Locked while it changes who takes from the inbox, too: the stage does as long as there are plugins.
    screen: Mutex<Option<Arc<dyn Screen>>>,
    /// Chunks that have passed, for the owner.
    out: Inbox,
    /// Whether the stage waits until the owner has taken some of `out`.
    is_held: AtomicBool,
    parked: Mutex<Option<Parked>>,
    pub(super) work: Work,
}

/// Chunks whose dead letters are on their way: they go on, in their order, when those are stored.
#[derive(Debug)]
struct Parked {
    chunks: Vec<Chunk>,
    /// For each letter the chunk and the message that it was.
    places: Vec<(usize, usize)>,
    sent: Arc<Sent>,
    until: Instant,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more to do.
    More,
    /// There is nothing to do until somebody wakes the partition.
    Done,
}

impl Screening {
    /// Without plugins yet.
    pub(super) fn new(stage: StageHandle, memory: Arc<InboxMemory>) -> Self {
        Self {
            stage,
            screen: Mutex::default(),
            out: Inbox::new(memory),
            is_held: AtomicBool::new(false),
            parked: Mutex::default(),
            work: Work::default(),
        }
    }

    /// Plugins for what the inbox of the partition holds and is pushed from now on.
    pub(super) fn set(&self, screen: Option<Arc<dyn Screen>>, inbox: &Inbox) {
        let mut current = self.screen.lock();
        if screen.is_some() {
            inbox.hand_to(Taker::Stage);
        }
        *current = screen;
    }

    /// Has the stage look at the partition.
    pub(super) fn wake(&self, partition: &Arc<PartitionHandle>) {
        self.stage.wake(partition);
    }

    /// Takes chunks for one turn of the owner; true when there are more.
    pub(super) fn take(
        &self,
        partition: &Arc<PartitionHandle>,
        max_bytes: usize,
        out: &mut Vec<Chunk>,
    ) -> bool {
        let is_more = self.out.take(Taker::Owner, max_bytes, out);
        if self.is_held.swap(false, Ordering::AcqRel) {
            self.wake(partition);
        }
        is_more
    }

    /// Bytes between inbox and owner, and some more while a turn is going on.
    pub(super) fn queued_bytes(&self) -> usize {
        let parked = self.parked.lock();
        let parked = parked.iter().flat_map(|parked| &parked.chunks);
        self.out.queued_bytes() + parked.map(Chunk::bytes).sum::<usize>()
    }

    /// Lets nothing pass any more, and hands out what waits.
    pub(super) fn close(&self) -> Vec<Chunk> {
        let mut chunks = self.out.close();
        if let Some(parked) = self.parked.lock().take() {
            self.stage.parked(false);
            chunks.extend(parked.chunks);
        }
        chunks
    }

    /// One turn: has the plugins look at what waits in the inbox, and hands it on to the owner. Called by one thread of the stage
    /// at a time.
    pub(super) fn turn(&self, partition: &Arc<PartitionHandle>, screened: &mut Screened) -> Turn {
        if !self.unpark(partition) || self.is_full() {
            return Turn::Done;
        }
        let screen = self.screen.lock().clone();
        let Some(screen) = screen else {
            return self.give_back(partition);
        };
        let mut chunks = Vec::new();
        let is_more = partition.inbox().take(Taker::Stage, TURN_MAX_BYTES, &mut chunks);
        if chunks.is_empty() {
            return Turn::Done;
        }
        let judged = Judged::by(&*screen, &chunks, screened);
        let sent = self.send_letters(partition, &chunks, screened);
        judged.apply(&mut chunks, screened);
        match sent {
            None => self.hand_on(partition, chunks),
            Some(parked) => {
                self.stage.parked(true);
                *self.parked.lock() = Some(Parked { chunks, ..parked });
                // What was answered meanwhile has found nothing parked.
                return Turn::More;
            }
        }
        if is_more { Turn::More } else { Turn::Done }
    }

    /// Hands on what waits for dead letters, if they are answered; false when it goes on waiting.
    fn unpark(&self, partition: &Arc<PartitionHandle>) -> bool {
        let mut slot = self.parked.lock();
        let Some(parked) = slot.as_ref() else { return true };
        let is_late = parked.until <= Instant::now();
        if !parked.sent.is_settled() && !is_late {
            return false;
        }
        let Some(parked) = slot.take() else { return true };
        drop(slot);
        let chunks = parked.end(is_late);
        self.hand_on(partition, chunks);
        self.stage.parked(false);
        true
    }

    /// Whether the owner has enough to do; it wakes the partition then.
    fn is_full(&self) -> bool {
        let is_full = || self.out.shown_bytes() >= OUT_MAX_BYTES;
        if !is_full() {
            return false;
        }
        self.is_held.store(true, Ordering::Release);
        // The owner may have taken all of it just before.
        is_full() || !self.is_held.swap(false, Ordering::AcqRel)
    }

    /// Without plugins: the owner takes from the inbox again, once it has taken everything that has passed.
    fn give_back(&self, partition: &Arc<PartitionHandle>) -> Turn {
        let screen = self.screen.lock();
        if screen.is_some() {
            return Turn::More;
        }
        self.is_held.store(true, Ordering::Release);
        if self.out.queued_bytes() == 0 {
            self.is_held.store(false, Ordering::Release);
            if partition.inbox().hand_to(Taker::Owner) {
                partition.schedule();
            }
        }
        Turn::Done
    }

    fn hand_on(&self, partition: &Arc<PartitionHandle>, chunks: Vec<Chunk>) {
        for chunk in chunks {
            match self.out.push_any(chunk) {
                Ok(None) => {}
                Ok(Some(_)) => partition.schedule(),
                Err(chunk) => partition.reject(*chunk, Reject::Closed),
            }
        }
    }

    /// Sends the dead letters of a turn, if there are any.
    fn send_letters(
        &self,
        partition: &Arc<PartitionHandle>,
        chunks: &[Chunk],
        screened: &Screened,
    ) -> Option<Parked> {
        let received = chunks.first().filter(|_| !screened.letters.is_empty())?.received;
        let mut letters = Outgoing::new(partition, &self.stage, received);
        let mut places = Vec::with_capacity(screened.letters.len());
        each_letter(chunks, &screened.letters, |record, letter, place| {
            let to = self
                .stage
                .letter_box()
                .find(&letter.to, partition.info().partition);
            letters.add(record, letter, to);
            places.push(place);
        });
        let sent = letters.send(self.stage.runtime());
        let until = Instant::now() + LETTERS_MAX_WAIT;
        self.stage.wake_at(until, partition);
        Some(Parked {
            chunks: Vec::new(),
            places,
            sent,
            until,
        })
    }
}

impl Parked {
    /// The chunks, in which messages whose dead letter was not stored are refused. With `is_late` nothing is known of letters that
    /// are not answered: their messages are refused, which may be one dead letter too many.
    fn end(mut self, is_late: bool) -> Vec<Chunk> {
        let is_settled = self.sent.is_settled();
        let lost: HashSet<_> = self.sent.lost().into_iter().collect();
        for (number, &(chunk, entry)) in self.places.iter().enumerate() {
            if (is_late && !is_settled || lost.contains(&number))
                && let Some(chunk) = self.chunks.get_mut(chunk)
                && let Some(entry) = chunk.entries.get_mut(entry)
            {
                entry.fate = Fate::Refused(Reject::DeadLetterLost);
            }
        }
        self.chunks
    }
}

/// Which messages of a turn the verdicts are about.
struct Judged {
    /// For each record the chunk and the message that it was.
    places: Vec<(usize, usize)>,
}

impl Judged {
    fn by(screen: &dyn Screen, chunks: &[Chunk], out: &mut Screened) -> Self {
        let count = chunks.iter().map(|chunk| chunk.entries.len()).sum();
        let (mut places, mut records) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (place, record) in asked_about(chunks) {
            places.push(place);
            records.push(record);
        }
        out.clear();
        if !records.is_empty() {
            // Plugins are made by strangers: should the host panic over one, its messages are refused and the stage goes on.
            let screened = catch_unwind(AssertUnwindSafe(|| screen.screen(&records, out)));
            if screened.is_err() {
                tracing::error!("the host of the plugins panicked, the messages of this batch are refused");
                out.clear();
            }
        }
        // Each plugin of a chain has told its own.
        out.letters.sort_unstable_by_key(|letter| letter.record);
        // A record without a verdict is not let in unseen.
        out.verdicts
            .resize(records.len(), Verdict::Refuse(Reject::PluginFailed));
        Self { places }
    }

    /// Marks what is not to be appended, and gives records the keys that were found.
    fn apply(&self, chunks: &mut [Chunk], screened: &mut Screened) {
        for (&(chunk, entry), verdict) in self.places.iter().zip(&screened.verdicts) {
            let fate = match verdict {
                Verdict::Pass => continue,
                Verdict::Drop | Verdict::DeadLetter => Fate::Dropped,
                Verdict::Refuse(reject) => Fate::Refused(*reject),
            };
            if let Some(chunk) = chunks.get_mut(chunk) {
                chunk.set_fate(entry, fate);
            }
        }
        screened.keys.sort_unstable_by_key(|found| found.record);
        let keys = screened
            .keys
            .chunk_by(|a, b| self.chunk_of(a) == self.chunk_of(b));
        for keys in keys {
            let chunk = keys.first().and_then(|found| self.chunk_of(found));
            if let Some(chunk) = chunk.and_then(|chunk| chunks.get_mut(chunk)) {
                self.give_keys(chunk, keys, &screened.key_bytes);
            }
        }
    }

    fn chunk_of(&self, found: &FoundKey) -> Option<usize> {
        self.places.get(found.record).map(|(chunk, _)| *chunk)
    }

    /// Writes the records of a chunk anew, some of them with keys.
    fn give_keys(&self, chunk: &mut Chunk, keys: &[FoundKey], key_bytes: &[u8]) {
        let added: usize = keys.iter().map(|found| found.at.len() + 6).sum();
        let mut records = BytesMut::with_capacity(chunk.records.len() + added);
        let mut keys = keys.iter().peekable();
        let mut stored = RecordIter::new(&chunk.records);
        let mut too_large = Vec::new();
        for (number, entry) in chunk.entries.iter().enumerate() {
            if !entry.has_record {
                continue;
            }
            let Some(record) = stored.next() else { break };
            let is_next =
                |found: &&FoundKey| self.places.get(found.record).map(|(_, at)| *at) == Some(number);
            let key = keys
                .next_if(is_next)
                .and_then(|found| key_bytes.get(found.at.clone()));
            let is_written = key.is_some_and(|key| append_with_key(&mut records, &record, key).is_ok());
            if !is_written {
                record.copy_to(&mut records);
                too_large.extend(key.map(|_| number));
            }
        }
        chunk.records = records;
        for number in too_large {
            chunk.set_fate(number, Fate::Refused(Reject::TooLarge));
        }
    }
}

/// The records of these letters, which are in order, with their chunks and messages.
fn each_letter(
    chunks: &[Chunk],
    letters: &[Letter],
    mut each: impl FnMut(&RecordView<'_>, &Letter, (usize, usize)),
) {
    let mut letters = letters.iter().peekable();
    for (number, (place, record)) in asked_about(chunks).enumerate() {
        if let Some(letter) = letters.next_if(|letter| letter.record == number) {
            each(&record, letter, place);
        }
    }
}

/// The records that plugins are asked about, with their chunks and messages: all that are to be appended, but dead letters of other
/// streams, so that none is dead-lettered again.
fn asked_about(chunks: &[Chunk]) -> impl Iterator<Item = ((usize, usize), RecordView<'_>)> {
    let asked = chunks
        .iter()
        .enumerate()
        .filter(|(_, chunk)| !chunk.is_of_dead_letters());
    asked.flat_map(|(number, chunk)| appended(chunk).map(move |(entry, record)| ((number, entry), record)))
}

/// The records of a chunk that are to be appended, with the numbers of their messages.
fn appended(chunk: &Chunk) -> impl Iterator<Item = (usize, RecordView<'_>)> {
    let mut records = RecordIter::new(&chunk.records);
    chunk
        .entries
        .iter()
        .enumerate()
        .filter_map(move |(number, entry)| {
            let record = if entry.has_record { records.next() } else { None };
            record
                .filter(|_| entry.fate == Fate::Append)
                .map(|record| (number, record))
        })
}
