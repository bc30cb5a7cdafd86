//! Records of one publisher on their way to one partition.

use bytes::BytesMut;

use strandline_core::record::{Fields, RecordEncoder, append_record};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_core::{Offset, Timestamp};

use super::ack::Origin;
use crate::metrics::Door;

/// What an inbox takes: records that are encoded already, and beside each what its publisher wants to hear.
///
/// The records lie in one buffer in the form in which batches hold them, so that the appender copies each once and
/// stamps it on the way. Texts (correlation ids, ack inboxes, subjects of refused messages) lie in another, in the order
/// of the entries: no allocation per record.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(super) records: BytesMut,
    pub(super) entries: Vec<Entry>,
    texts: String,
    /// Where answers go.
    pub(super) origin: Origin,
    /// When the first message of the chunk came in.
    pub(super) received: Timestamp,
    /// Offset of the first admitted record; set by the appender.
    pub(super) first_offset: Offset,
    door: Door,
    /// Messages whose publisher wants to hear an offset.
    listeners: u32,
    /// Whether any message is not to be appended.
    pub(super) has_exceptions: bool,
    /// Whether these are dead letters of another stream.
    is_of_dead_letters: bool,
}

/// One message of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(super) fate: Fate,
    /// Whether there is a record; a message that is not appended may have one, from before that was known.
    pub(super) has_record: bool,
    pub(super) policy: AckPolicy,
    pub(super) expected: ExpectedOffset,
    pub(super) answer: Answer,
    correlation_bytes: u32,
    inbox_bytes: u32,
    subject_bytes: u32,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its record is appended.
    Append,
    /// It is not appended, and whoever asked is told why.
    Refused(Reject),
    /// A filter keeps it out of the stream: it takes no offset, and nothing is wrong.
    Dropped,
}

/// How large the chunks of one publisher tend to be, so that the next one is made as large at once instead of growing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChunkRoom {
    pub(super) record_bytes: usize,
    text_bytes: usize,
    entries: usize,
}

impl ChunkRoom {
    /// Expects the next chunk to be as this one. A small one after a large one only halves the guess: a burst ends in a small
    /// rest, and the next begins as large as this one began.
    pub(crate) fn note(&mut self, chunk: &Chunk) {
        *self = Self {
            record_bytes: chunk.records.len().max(self.record_bytes / 2),
            text_bytes: chunk.texts.len().max(self.text_bytes / 2),
            entries: chunk.entries.len().max(self.entries / 2),
        };
    }
}

/// How a publisher is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not at all.
    #[default]
    Nothing,
    /// Through the chunk's origin.
    Origin,
    /// By an ack envelope on the message's ack inbox.
    Inbox,
    /// By a JSON reply on the message's reply subject.
    Reply,
}

/// Why a message is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reject {
    #[error("incorrect expected offset")]
    IncorrectOffset,
    #[error("message exceeds max replication size")]
    TooLarge,
    #[error("message has a malformed header")]
    Malformed,
    #[error("stream with concurrency control must have AckPolicy set")]
    PolicyMissing,
    #[error("the partition cannot store more: no space left on the disk")]
    DiskFull,
    #[error("the partition takes no more writes since its log failed, restart the broker")]
    LogFailed,
    #[error("the partition did not keep up with its publishers")]
    Overloaded,
    #[error("the partition is closed")]
    Closed,
    #[error("a plugin of the stream failed on the message")]
    PluginFailed,
    #[error(
        "a plugin of the stream cannot be run, so nothing is taken until that is mended or the plugin detached"
    )]
    PluginMissing,
    #[error("the message is for the dead letters, but they could not be stored")]
    DeadLetterLost,
}

/// What stands beside a record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivery<'a> {
    pub(crate) policy: AckPolicy,
    pub(crate) expected: ExpectedOffset,
    pub(crate) answer: Answer,
    pub(crate) correlation_id: &'a str,
    /// Ack inbox, or reply subject for [`Answer::Reply`].
    pub(crate) inbox: &'a str,
}

/// The texts of one entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    pub(super) correlation_id: &'a str,
    pub(super) inbox: &'a str,
    pub(super) subject: &'a str,
}

impl Entry {
    fn wants_offset(&self) -> bool {
        self.answer != Answer::Nothing && self.policy != AckPolicy::None
    }
}

impl Chunk {
    /// An empty chunk, whose records go into this buffer.
    pub(super) fn new(origin: Origin, received: Timestamp, room: ChunkRoom, records: BytesMut) -> Self {
        Self {
            records,
            entries: Vec::with_capacity(room.entries),
            texts: String::with_capacity(room.text_bytes),
            door: origin.door(),
            origin,
            received,
            first_offset: Offset::ZERO,
            listeners: 0,
            has_exceptions: false,
            is_of_dead_letters: false,
        }
    }

    /// The chunk, for dead letters of another stream.
    pub(super) fn of_dead_letters(self) -> Self {
        let is_of_dead_letters = true;
        Self {
            is_of_dead_letters,
            ..self
        }
    }

    pub(super) fn is_of_dead_letters(&self) -> bool {
        self.is_of_dead_letters
    }

    /// Where the messages came in.
    pub(crate) fn door(&self) -> Door {
        self.door
    }

    /// Offsets that publishers are told, and messages that are refused, by reason. Looks at single messages only where some
    /// are refused.
    pub(super) fn tally(&self, mut refused: impl FnMut(Reject)) -> u64 {
        if !self.has_exceptions {
            return u64::from(self.listeners);
        }
        let mut acks = 0;
        for entry in &self.entries {
            match entry.fate {
                Fate::Refused(reject) => refused(reject),
                Fate::Append | Fate::Dropped => acks += u64::from(entry.wants_offset()),
            }
        }
        acks
    }

    /// Adds a message. A message that cannot be encoded is added as refused, so that its publisher hears of it in turn.
    pub(crate) fn push<'h>(
        &mut self,
        fields: &Fields<'_>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        delivery: &Delivery<'_>,
    ) {
        let result = append_record(&mut self.records, fields, headers);
        self.add_encoded(result.is_ok(), fields, delivery);
    }

    /// The same for a publisher whose messages come in runs.
    pub(crate) fn push_of_run<'h>(
        &mut self,
        encoder: &mut RecordEncoder,
        fields: &Fields<'_>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        delivery: &Delivery<'_>,
    ) {
        let result = encoder.append(&mut self.records, fields, headers);
        self.add_encoded(result.is_ok(), fields, delivery);
    }

    /// Adds a message that is refused at the door. Nothing is added when its publisher does not listen.
    pub(crate) fn push_refused(&mut self, reject: Reject, subject: &str, delivery: &Delivery<'_>) {
        if delivery.answer != Answer::Nothing {
            self.add(Fate::Refused(reject), subject, delivery);
        }
    }

    /// Memory that the chunk holds on to, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.records.len() + self.texts.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Bytes of the records alone.
    pub(crate) fn record_bytes(&self) -> usize {
        self.records.len()
    }

    /// The door by which the messages came in, where that does not follow from where answers go.
    pub(crate) fn through(self, door: Door) -> Self {
        Self { door, ..self }
    }

    /// Whether answers go there.
    pub(crate) fn has_origin(&self, origin: &Origin) -> bool {
        self.origin.same(origin)
    }

    /// Tells the chunk's origin that its messages are on their way.
    pub(crate) fn announce(&self) {
        self.origin.expect(self.len());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Messages in the chunk.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Refuses every message that is not refused already.
    pub(crate) fn refuse_all(&mut self, reject: Reject) {
        self.has_exceptions = true;
        for entry in &mut self.entries {
            if !matches!(entry.fate, Fate::Refused(_)) {
                entry.fate = Fate::Refused(reject);
            }
        }
    }

    /// Says what becomes of the message with this number.
    pub(super) fn set_fate(&mut self, number: usize, fate: Fate) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.fate = fate;
            self.has_exceptions |= fate != Fate::Append;
        }
    }

    /// Lets go of the records, which are appended. Only for partitions with one subject: the answers of others repeat that
    /// of each record.
    pub(super) fn take_records(&mut self) -> BytesMut {
        std::mem::take(&mut self.records)
    }

    /// The entries with their texts, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Entry, Texts<'_>)> {
        let mut rest = self.texts.as_str();
        self.entries.iter().map(move |entry| {
            let mut take = |bytes: u32| {
                // Only whole texts go in.
                let (text, after) = rest.split_at_checked(bytes as usize).unwrap_or_default();
                rest = after;
                text
            };
            let texts = Texts {
                correlation_id: take(entry.correlation_bytes),
                inbox: take(entry.inbox_bytes),
                subject: take(entry.subject_bytes),
            };
            (entry, texts)
        })
    }

    fn add_encoded(&mut self, is_encoded: bool, fields: &Fields<'_>, delivery: &Delivery<'_>) {
        if is_encoded {
            self.add(Fate::Append, "", delivery);
        } else {
            self.add(Fate::Refused(Reject::Malformed), fields.subject, delivery);
        }
    }

    fn add(&mut self, fate: Fate, subject: &str, delivery: &Delivery<'_>) {
        // A session knows its own inbox.
        let inbox = if delivery.answer == Answer::Origin {
            ""
        } else {
            delivery.inbox
        };
        for text in [delivery.correlation_id, inbox, subject] {
            self.texts.push_str(text);
        }
        let entry = Entry {
            fate,
            has_record: fate == Fate::Append,
            policy: delivery.policy,
            expected: delivery.expected,
            answer: delivery.answer,
            // A message is bounded far below 4 GiB before it gets here.
            correlation_bytes: delivery.correlation_id.len() as u32,
            inbox_bytes: inbox.len() as u32,
            subject_bytes: subject.len() as u32,
        };
        self.has_exceptions |= fate != Fate::Append;
        self.listeners += u32::from(entry.wants_offset());
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_with_their_entries() {
        let mut chunk = Chunk::new(
            Origin::Bus,
            Timestamp::ZERO,
            ChunkRoom::default(),
            BytesMut::new(),
        );
        let fields = Fields {
            key: None,
            value: b"v",
            subject: "s",
            reply: "",
        };
        let delivery = Delivery {
            correlation_id: "c1",
            inbox: "in",
            answer: Answer::Inbox,
            ..Delivery::default()
        };
        chunk.push(&fields, [], &delivery);
        chunk.push(&fields, [], &Delivery::default());
        chunk.push_refused(
            Reject::TooLarge,
            "far",
            &Delivery {
                correlation_id: "c2",
                ..delivery
            },
        );
        let texts: Vec<_> = chunk
            .entries()
            .map(|(_, t)| (t.correlation_id, t.inbox, t.subject))
            .collect();
        assert_eq!(texts, [("c1", "in", ""), ("", "", ""), ("c2", "in", "far")]);
    }

    #[test]
    fn room_follows_large_chunks_at_once_and_small_ones_by_halves() {
        let chunk = |messages: usize| {
            let (room, records) = (ChunkRoom::default(), BytesMut::new());
            let mut chunk = Chunk::new(Origin::Bus, Timestamp::ZERO, room, records);
            let fields = Fields {
                key: None,
                value: &[1; 100],
                subject: "s",
                reply: "",
            };
            (0..messages).for_each(|_| chunk.push(&fields, [], &Delivery::default()));
            chunk
        };
        let mut room = ChunkRoom::default();
        let mut after = |messages: usize| {
            room.note(&chunk(messages));
            room.entries
        };
        assert_eq!([8, 1, 1, 1, 1, 9].map(&mut after), [8, 4, 2, 1, 1, 9]);
    }

    #[test]
    fn a_tally_tells_offsets_that_somebody_waits_for_from_refusals() {
        let mut chunk = Chunk::new(
            Origin::Bus,
            Timestamp::ZERO,
            ChunkRoom::default(),
            BytesMut::new(),
        );
        let fields = Fields {
            key: None,
            value: b"v",
            subject: "s",
            reply: "",
        };
        let heard = Delivery {
            answer: Answer::Inbox,
            inbox: "in",
            ..Delivery::default()
        };
        let unacked = Delivery {
            policy: AckPolicy::None,
            ..heard
        };
        for delivery in [&heard, &unacked, &Delivery::default(), &heard] {
            chunk.push(&fields, [], delivery);
        }
        let mut refused = Vec::new();
        assert_eq!(chunk.tally(|reject| refused.push(reject)), 2);
        chunk.push_refused(Reject::TooLarge, "s", &heard);
        assert_eq!(chunk.tally(|reject| refused.push(reject)), 2);
        assert_eq!(refused, [Reject::TooLarge]);
        chunk.refuse_all(Reject::Closed);
        assert_eq!(chunk.tally(drop), 0);
    }

    #[test]
    fn a_refused_message_that_nobody_asks_after_is_left_out() {
        let mut chunk = Chunk::new(
            Origin::Bus,
            Timestamp::ZERO,
            ChunkRoom::default(),
            BytesMut::new(),
        );
        chunk.push_refused(Reject::TooLarge, "s", &Delivery::default());
        assert!(chunk.is_empty());
    }
}
