//! Batches survive their way through bytes; anything else is refused without a panic.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::{LeaderEpoch, Offset, Timestamp};

type Headers = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug)]
struct Message {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    subject: String,
    reply: String,
    headers: Headers,
    offset_step: u64,
    time_step: i64,
}

fn message() -> impl Strategy<Value = Message> {
    let headers = vec(("[a-z]{0,6}", vec(any::<u8>(), 0..200)), 0..4);
    let steps = (1..1000_u64, 0..100_000_i64);
    let bytes = || vec(any::<u8>(), 0..300);
    (
        option::of(bytes()),
        bytes(),
        "[a-z.]{0,140}",
        "[a-z.]{0,10}",
        headers,
        steps,
    )
        .prop_map(
            |(key, value, subject, reply, headers, (offset_step, time_step))| Message {
                key,
                value,
                subject,
                reply,
                headers,
                offset_step,
                time_step,
            },
        )
}

fn fields(message: &Message) -> Fields<'_> {
    Fields {
        key: message.key.as_deref(),
        value: &message.value,
        subject: &message.subject,
        reply: &message.reply,
    }
}

fn encoded(message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    let headers = message
        .headers
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_slice()));
    let length = append_record(&mut out, &fields(message), headers).unwrap();
    assert_eq!(length, out.len());
    out
}

fn built(messages: &[Message], base: u64, time: i64) -> Batch {
    let mut builder = BatchBuilder::new();
    let (mut offset, mut time) = (Offset::new(base), Timestamp::from_nanos(time));
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            offset = offset.plus(message.offset_step);
            time = Timestamp::from_nanos(time.nanos() + message.time_step);
        }
        let bytes = encoded(message);
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(&record, LeaderEpoch::new(3), offset, time);
    }
    builder.finish().unwrap()
}

fn stored_headers(message: &Message) -> Headers {
    let user = message
        .headers
        .iter()
        .filter(|(key, _)| key != SUBJECT_HEADER && key != REPLY_HEADER);
    let reserved = [
        (SUBJECT_HEADER.to_owned(), message.subject.clone().into_bytes()),
        (REPLY_HEADER.to_owned(), message.reply.clone().into_bytes()),
    ];
    user.cloned().chain(reserved).collect()
}

fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes.into()
}

fn small_batch() -> Batch {
    let message = Message {
        key: Some(Vec::new()),
        value: b"value".to_vec(),
        subject: "s".to_owned(),
        reply: String::new(),
        headers: vec![("h".to_owned(), vec![1, 2])],
        offset_step: 1,
        time_step: 0,
    };
    built(&[message.clone(), message], 10, 100)
}

proptest! {
    /// What a key extractor finds is stored as if the publisher had sent it.
    #[test]
    fn a_record_that_is_given_a_key_is_the_one_that_came_with_it(message in message(), key in vec(any::<u8>(), 0..300)) {
        let without = encoded(&Message { key: None, ..message.clone() });
        let record = RecordIter::new(&without).next().unwrap();
        let mut given = BytesMut::new();
        let length = append_with_key(&mut given, &record, &key).unwrap();
        prop_assert_eq!(length, given.len());
        prop_assert_eq!(&given, &encoded(&Message { key: Some(key), ..message }));
    }

    #[test]
    fn an_encoder_makes_of_a_run_what_records_are_one_by_one(
        messages in vec((message(), 0..2_usize, any::<bool>()), 1..12), before in vec(any::<u8>(), 0..4),
    ) {
        let mut encoder = RecordEncoder::default();
        for (mut message, subject, has_reply) in messages {
            // Runs of equal subjects, and records with and without a reply subject among them.
            message.subject = ["run", ""][subject].to_owned();
            if !has_reply {
                message.reply.clear();
            }
            let headers = message.headers.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            let mut out = BytesMut::from(&before[..]);
            let length = encoder.append(&mut out, &fields(&message), headers).unwrap();
            let record = encoded(&message);
            prop_assert_eq!(length, record.len());
            prop_assert_eq!(&out[before.len()..], &record[..]);
        }
    }

    #[test]
    fn what_is_built_is_parsed_back(messages in vec(message(), 1..12), base in 0..1_u64 << 40, time in 0..i64::MAX / 2) {
        let built = built(&messages, base, time);
        let parsed = Batch::parse(built.bytes()).unwrap();
        prop_assert_eq!(&parsed, &built);
        prop_assert_eq!(parsed.header().base, Offset::new(base));
        prop_assert_eq!(parsed.records().count(), messages.len());
        let (mut offset, mut nanos) = (base, time);
        for (index, (record, message)) in parsed.records().zip(&messages).enumerate() {
            if index > 0 {
                (offset, nanos) = (offset + message.offset_step, nanos + message.time_step);
            }
            prop_assert_eq!(base + u64::from(record.offset_delta()), offset);
            prop_assert_eq!(time + i64::from(record.time_delta()), nanos);
            prop_assert_eq!(record.key(), message.key.as_deref());
            prop_assert_eq!(record.value(), &message.value[..]);
            prop_assert_eq!(record.subject(), message.subject.as_bytes());
            prop_assert_eq!(record.reply(), message.reply.as_bytes());
            let headers: Vec<_> = record.headers().map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value.to_vec())).collect();
            prop_assert_eq!(headers, stored_headers(message));
        }
        prop_assert_eq!(parsed.header().last, Offset::new(offset));
        prop_assert_eq!(parsed.header().last_time, Timestamp::from_nanos(nanos));
    }

    /// Publishers tend to send messages of one length into buffers that held the last of them. Each asked for a little more room
    /// than it took, and had its buffer grow, which copied it.
    #[test]
    fn a_buffer_that_has_held_a_record_takes_another_without_growing(mut message in message()) {
        message.headers.clear();
        let mut buffer = BytesMut::with_capacity(encoded(&message).len());
        let (place, fields) = (buffer.as_ptr(), fields(&message));
        append_record(&mut buffer, &fields, []).unwrap();
        prop_assert_eq!(buffer.as_ptr(), place);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        let _ = Batch::parse(&bytes);
        BatchIter::new(bytes.clone()).for_each(drop);
        for record in RecordIter::new(&bytes) {
            let _ = (record.is_well_formed(), record.key(), record.value(), record.headers().count());
        }
    }

    #[test]
    fn a_payload_with_a_right_checksum_never_panics(changes in vec((4..usize::MAX, any::<u8>()), 1..6)) {
        let mut bytes = small_batch().bytes().to_vec();
        for (at, byte) in changes {
            let at = 4 + at % (bytes.len() - 4);
            bytes[at] = byte;
        }
        if let Ok(batch) = Batch::parse(&sealed(bytes)) {
            // The records of a packed one are its unpacker's business.
            if !batch.header().is_packed() {
                prop_assert_eq!(batch.records().count(), batch.header().records as usize);
                for record in batch.records() {
                    let _ = (record.key(), record.value(), record.headers().count());
                }
            }
            let _ = batch.first_at_or_after(Timestamp::from_nanos(i64::MAX));
        }
    }
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn every_flipped_bit_of_a_batch_is_noticed() {
    let whole = small_batch().bytes().to_vec();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Batch::checked(&bytes.into()).is_err(), "bit {bit}");
    }
}

#[test]
fn a_batch_that_ends_early_is_incomplete_at_every_length() {
    let whole = small_batch().bytes().clone();
    for length in 0..whole.len() {
        let result = Batch::parse(&whole.slice(..length));
        assert!(matches!(result, Err(BatchError::Incomplete { .. })), "{length}");
    }
}

#[test]
fn a_search_in_times_that_no_clock_can_say_does_not_overflow() {
    // The sum of a batch's first time and a record's delta was not checked: a crafted batch ended a debug build.
    let mut bytes = small_batch().bytes().to_vec();
    bytes[40..48].copy_from_slice(&(i64::MAX - 1).to_le_bytes());
    bytes[48..56].copy_from_slice(&i64::MAX.to_le_bytes());
    let first = RecordIter::new(&bytes[HEADER_BYTES..]).next().unwrap().bytes();
    let delta = HEADER_BYTES + first + 8;
    bytes[delta..delta + 4].copy_from_slice(&5_u32.to_le_bytes());
    let batch = Batch::parse(&sealed(bytes)).unwrap();
    let found = batch.first_at_or_after(Timestamp::from_nanos(i64::MAX));
    assert_eq!(found, Some(batch.header().last));
}

#[test]
fn the_header_of_a_packed_batch_says_how_and_its_payload_is_left_alone() {
    let plain = small_batch();
    let encryption = Some(Encryption {
        key: KeyId::new(7).unwrap(),
        nonce: [9; NONCE_BYTES],
    });
    for (codec, encryption) in [
        (Codec::Zstd, None),
        (Codec::None, encryption),
        (Codec::Lz4, encryption),
    ] {
        let header = BatchHeader {
            codec,
            encryption,
            ..*plain.header()
        };
        let payload = b"nothing that looks like records";
        let buffer = BytesMut::from(&[&[0; HEADER_BYTES][..], payload].concat()[..]);
        let packed = Batch::seal(header, buffer).unwrap();
        let read = Batch::parse(packed.bytes()).unwrap();
        assert_eq!(read.header(), packed.header());
        assert_eq!(
            (read.header().codec, read.header().encryption),
            (codec, encryption)
        );
        assert_eq!(read.payload(), payload);
        assert_eq!(read.first_at_or_after(header.last_time), Some(header.base));
        let later = Timestamp::from_nanos(header.last_time.nanos() + 1);
        assert_eq!(read.first_at_or_after(later), None);
    }
}

#[test]
fn codecs_and_keys_that_are_not_known_are_refused_by_name() {
    let refused = |at: usize, value: u8| {
        let mut bytes = small_batch().bytes().to_vec();
        bytes[at] = value;
        Batch::checked(&sealed(bytes)).unwrap_err().to_string()
    };
    assert_eq!(
        refused(10, 3),
        "batch header: the payload has a codec that this version does not know"
    );
    assert_eq!(refused(71, 1), "batch header: there is a nonce without a key");
    for codec in Codec::ALL {
        assert_eq!(codec.name().parse(), Ok(codec));
    }
    assert_eq!("gzip".parse::<Codec>(), Err(UnknownCodec));
}

#[test]
fn headers_over_a_limit_leave_the_buffer_as_it_was() {
    let mut out = BytesMut::from(&b"before"[..]);
    let fields = Fields {
        key: None,
        value: b"v",
        subject: "",
        reply: "",
    };
    let long = "k".repeat(MAX_HEADER_KEY_BYTES + 1);
    let result = append_record(&mut out, &fields, [(long.as_str(), &b""[..])]);
    assert_eq!(result, Err(BodyError::HeaderKeyTooLong { bytes: long.len() }));
    let many = std::iter::repeat_n(("k", &b""[..]), MAX_HEADERS + 1);
    assert_eq!(
        append_record(&mut out, &fields, many),
        Err(BodyError::TooManyHeaders)
    );
    let many = std::iter::repeat_n(("k", &b""[..]), MAX_HEADERS + 1);
    assert_eq!(
        RecordEncoder::default().append(&mut out, &fields, many),
        Err(BodyError::TooManyHeaders)
    );
    assert_eq!(&out[..], b"before");
    assert!(append_record(&mut out, &fields, [(&long[1..], &b""[..])]).is_ok());
    assert!(
        append_record(
            &mut out,
            &fields,
            std::iter::repeat_n(("k", &b""[..]), MAX_HEADERS)
        )
        .is_ok()
    );
}

#[test]
fn a_builder_says_when_a_limit_is_reached() {
    let bytes = encoded(&Message {
        key: None,
        value: Vec::new(),
        subject: String::new(),
        reply: String::new(),
        headers: Vec::new(),
        offset_step: 1,
        time_step: 0,
    });
    let record = RecordIter::new(&bytes).next().unwrap();
    let mut builder = BatchBuilder::new();
    let (base, time, far) = (Offset::new(5), Timestamp::from_nanos(7), u64::from(u32::MAX));
    assert!(!builder.must_finish_before(2 * MAX_BATCH_BYTES, base, time));
    builder.push(&record, LeaderEpoch::new(1), base, time);
    let room = MAX_BUILT_BYTES - builder.bytes();
    assert!(!builder.must_finish_before(room, base.plus(1), time));
    assert!(builder.must_finish_before(room + 1, base.plus(1), time));
    assert!(!builder.must_finish_before(1, base.plus(far), time));
    assert!(builder.must_finish_before(1, base.plus(far + 1), time));
    let late = |nanos| Timestamp::from_nanos(time.nanos() + nanos);
    assert!(!builder.must_finish_before(1, base.plus(1), late(far as i64)));
    assert!(builder.must_finish_before(1, base.plus(1), late(far as i64 + 1)));
    builder.push(&record, LeaderEpoch::new(1), base.plus(far), late(far as i64));
    assert!(Batch::parse(builder.finish().unwrap().bytes()).is_ok());
    assert!(builder.finish().is_none());
}
