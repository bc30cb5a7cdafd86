//! Acks on their way out.

use bytes::{BufMut, BytesMut};

use strandline_core::envelope::{self, Kind};
use strandline_core::stream::AckPolicy;
use strandline_core::{Offset, Timestamp};

use super::frame_reader::FRAME_PREFIX_BYTES;
use super::varint::{
    Short, bytes_field_bytes, number_field_bytes, put_bytes_field, put_number_field, varint_bytes,
};
use crate::convert;

const RESPONSE_ACK: u8 = 1;
const RESPONSE_CORRELATION_ID: u8 = 3;
/// Room for what the acks of a run share: two subjects, two times and the policy.
const TYPICAL_RUN_BYTES: usize = 160;

/// What went wrong, in an ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// Anything that has no number of its own.
    Unknown,
    /// The message was to get another offset than expected.
    IncorrectOffset,
    /// The message is over the limit.
    TooLarge,
    /// The message could not be encrypted.
    Encryption,
}

impl AckError {
    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            Self::Unknown => 1,
            Self::IncorrectOffset => 2,
            Self::TooLarge => 3,
            Self::Encryption => 4,
        }
    }
}

/// What changes from ack to ack.
#[derive(Clone, Copy, Debug, Default)]
pub struct AckFields<'a> {
    /// Offset that the record got; none when a filter kept it out of the stream. Not sent with an error.
    pub offset: Option<Offset>,
    /// NATS subject that the message arrived on.
    pub msg_subject: &'a str,
    /// Inbox that the ack goes to.
    pub ack_inbox: &'a str,
    /// Echo of the message's.
    pub correlation_id: &'a str,
    /// When the message came in.
    pub reception: Timestamp,
    /// When the ack was made; not sent with [`AckError::TooLarge`], as Liftbridge has it.
    pub commit: Timestamp,
    /// What went wrong, if anything.
    pub error: Option<AckError>,
}

/// Acks of one partition and policy. What all of them share is encoded once, and what those of a run share is kept from one to
/// the next: the messages of a chunk came in at one time, are committed at one, and most came in on one subject.
#[derive(Clone, Debug)]
pub struct AckTemplate {
    /// Stream and partition subject; then the run's message subject, ack inbox, and all that follows the correlation id.
    encoded: BytesMut,
    fixed_bytes: usize,
    policy: i64,
    run: Option<Run>,
}

/// What the acks of a run share; the texts stand at the ends of the first two parts.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where the offset belongs, behind the message's subject.
    offset_at: usize,
    /// Where the correlation id belongs, behind the ack inbox.
    correlation_at: usize,
    subject_bytes: usize,
    inbox_bytes: usize,
    reception: Timestamp,
    commit: Timestamp,
    error: Option<AckError>,
}

impl AckTemplate {
    /// For messages to this stream with this policy.
    pub fn new(stream: &str, partition_subject: &str, policy: AckPolicy) -> Self {
        let fixed_bytes = bytes_field_bytes(stream.len()) + bytes_field_bytes(partition_subject.len());
        let mut encoded = BytesMut::with_capacity(fixed_bytes + TYPICAL_RUN_BYTES);
        put_bytes_field(&mut encoded, 1, stream.as_bytes());
        put_bytes_field(&mut encoded, 2, partition_subject.as_bytes());
        Self {
            encoded,
            fixed_bytes,
            policy: i64::from(convert::ack_policy_number(policy)),
            run: None,
        }
    }

    /// Appends a gRPC frame of a `PublishResponse` with this ack and its correlation id.
    pub fn response_frame(&mut self, out: &mut BytesMut, ack: &AckFields<'_>) {
        let run = self.run_of(ack);
        let ack_bytes = self.bytes(ack);
        let response_bytes =
            1 + varint_bytes(ack_bytes as u64) + ack_bytes + bytes_field_bytes(ack.correlation_id.len());
        out.reserve(FRAME_PREFIX_BYTES + response_bytes);
        Short::new()
            .frame_prefix(response_bytes)
            .byte(RESPONSE_ACK << 3 | 2)
            .varint(ack_bytes as u64)
            .put_into(out);
        self.put(out, &run, ack);
        put_bytes_field(out, RESPONSE_CORRELATION_ID, ack.correlation_id.as_bytes());
    }

    /// Appends an ack envelope, as it goes over NATS.
    pub fn envelope(&mut self, out: &mut BytesMut, ack: &AckFields<'_>) {
        let run = self.run_of(ack);
        out.reserve(envelope::HEADER_BYTES + self.bytes(ack));
        out.put_slice(&envelope::header(Kind::Ack));
        self.put(out, &run, ack);
    }

    /// The run that this ack belongs to; a new one begins where it differs from the one before.
    fn run_of(&mut self, ack: &AckFields<'_>) -> Run {
        match self.run {
            Some(run) if self.goes_on(&run, ack) => run,
            _ => self.begin_run(ack),
        }
    }

    fn goes_on(&self, run: &Run, ack: &AckFields<'_>) -> bool {
        let text = |end: usize, bytes: usize| &self.encoded[end - bytes..end];
        (run.reception, run.commit, run.error) == (ack.reception, ack.commit, ack.error)
            && text(run.offset_at, run.subject_bytes) == ack.msg_subject.as_bytes()
            && text(run.correlation_at, run.inbox_bytes) == ack.ack_inbox.as_bytes()
    }

    fn begin_run(&mut self, ack: &AckFields<'_>) -> Run {
        self.encoded.truncate(self.fixed_bytes);
        put_bytes_field(&mut self.encoded, 3, ack.msg_subject.as_bytes());
        let offset_at = self.encoded.len();
        put_bytes_field(&mut self.encoded, 5, ack.ack_inbox.as_bytes());
        let correlation_at = self.encoded.len();
        put_number_field(&mut self.encoded, 7, self.policy);
        put_number_field(&mut self.encoded, 8, ack.reception.nanos());
        put_number_field(&mut self.encoded, 9, commit_number(ack));
        put_number_field(&mut self.encoded, 10, error_number(ack));
        let run = Run {
            offset_at,
            correlation_at,
            subject_bytes: ack.msg_subject.len(),
            inbox_bytes: ack.ack_inbox.len(),
            reception: ack.reception,
            commit: ack.commit,
            error: ack.error,
        };
        self.run = Some(run);
        run
    }

    /// Length of an ack of the present run.
    fn bytes(&self, ack: &AckFields<'_>) -> usize {
        self.encoded.len()
            + number_field_bytes(offset_number(ack))
            + bytes_field_bytes(ack.correlation_id.len())
    }

    fn put(&self, out: &mut BytesMut, run: &Run, ack: &AckFields<'_>) {
        out.put_slice(&self.encoded[..run.offset_at]);
        put_number_field(out, 4, offset_number(ack));
        out.put_slice(&self.encoded[run.offset_at..run.correlation_at]);
        put_bytes_field(out, 6, ack.correlation_id.as_bytes());
        out.put_slice(&self.encoded[run.correlation_at..]);
    }
}

fn offset_number(ack: &AckFields<'_>) -> i64 {
    if ack.error.is_none() {
        convert::wire_ack_offset(ack.offset)
    } else {
        0
    }
}

fn commit_number(ack: &AckFields<'_>) -> i64 {
    if ack.error == Some(AckError::TooLarge) {
        0
    } else {
        ack.commit.nanos()
    }
}

fn error_number(ack: &AckFields<'_>) -> i64 {
    ack.error.map_or(0, |error| i64::from(error.number()))
}
