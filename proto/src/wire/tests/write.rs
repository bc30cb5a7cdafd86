//! What is written, against the generated encoders and the published vectors.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message as _;

use strandline_core::envelope::{self, Kind};
use strandline_core::record::{BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, PartitionId, Timestamp};

use super::super::samples::{self, hex};
use super::super::*;
use crate::{api, convert};

proptest! {
    #[test]
    fn acks_are_what_the_generated_encoder_makes(
        (msg_subject, ack_inbox, correlation_id) in (samples::text(), samples::text(), samples::text()),
        (offset, reception, commit) in (samples::number(), samples::number(), samples::number()),
        (policy, error) in (0..3usize, 0..ERRORS.len()),
    ) {
        let (error, ack_error) = ERRORS[error];
        let ack = api::Ack {
            stream: "s".into(), partition_subject: "subj".into(), msg_subject, ack_inbox, correlation_id,
            offset: if error.is_none() { offset & i64::MAX } else { 0 },
            ack_policy: policy as i32,
            reception_timestamp: reception,
            commit_timestamp: if error == Some(AckError::TooLarge) { 0 } else { commit },
            ack_error: ack_error.into(),
        };
        let fields = AckFields {
            offset: Some(Offset::new((offset & i64::MAX) as u64)), msg_subject: &ack.msg_subject,
            ack_inbox: &ack.ack_inbox, correlation_id: &ack.correlation_id,
            reception: Timestamp::from_nanos(reception), commit: Timestamp::from_nanos(commit), error,
        };
        let mut template = AckTemplate::new("s", "subj", POLICIES[policy]);
        let mut out = BytesMut::new();
        template.envelope(&mut out, &fields);
        prop_assert_eq!(envelope::open(Kind::Ack, &out).unwrap(), ack.encode_to_vec());
        let mut out = BytesMut::new();
        template.response_frame(&mut out, &fields);
        let correlation_id = ack.correlation_id.clone();
        assert_frame(&out, &api::PublishResponse { ack: Some(ack.clone()), async_error: None, correlation_id });
    }

    #[test]
    fn a_template_makes_of_a_run_what_new_ones_make_one_by_one(
        acks in proptest::collection::vec((0..2usize, 0..2usize, 0..2i64, 0..2i64, 0..ERRORS.len(), samples::text()), 1..20),
    ) {
        let mut template = AckTemplate::new("s", "subj", AckPolicy::All);
        for (offset, (subject, inbox, reception, commit, error, correlation_id)) in acks.into_iter().enumerate() {
            let fields = AckFields {
                offset: Some(Offset::new(offset as u64)), msg_subject: ["one", "other"][subject], ack_inbox: ["", "inbox"][inbox],
                correlation_id: &correlation_id, reception: Timestamp::from_nanos(reception),
                commit: Timestamp::from_nanos(commit), error: ERRORS[error].0,
            };
            let (mut of_run, mut alone) = (BytesMut::new(), BytesMut::new());
            template.response_frame(&mut of_run, &fields);
            AckTemplate::new("s", "subj", AckPolicy::All).response_frame(&mut alone, &fields);
            prop_assert_eq!(&of_run, &alone);
        }
    }

    #[test]
    fn async_errors_are_what_the_generated_encoder_makes(
        id in samples::text(), message in samples::text(), code in 0..CODES.len(),
    ) {
        let mut out = BytesMut::new();
        put_async_error(&mut out, &id, &AsyncError::new(CODES[code], message.as_str()));
        let error = api::PublishAsyncError { code: code as i32, message };
        let ack = Some(api::Ack::default());
        assert_frame(&out, &api::PublishResponse { ack, async_error: Some(error), correlation_id: id });
    }

    #[test]
    fn an_envelope_reads_back_and_as_a_generated_message(request in samples::publish_request()) {
        let pairs: Vec<_> = request.headers.iter().map(|(k, v)| (k.as_str(), &v[..])).collect();
        let fields = EnvelopeFields {
            key: &request.key, value: &request.value, stream: &request.stream, subject: "s.t",
            headers: HeadersRef::Pairs(&pairs), ack_inbox: &request.ack_inbox,
            correlation_id: &request.correlation_id, ack_policy: AckPolicy::All,
            expected_offset: convert::expected_offset(request.expected_offset),
        };
        let mut out = BytesMut::new();
        put_publish_envelope(&mut out, &fields);
        let payload = envelope::open(Kind::Publish, &out).unwrap();
        let message = api::Message::decode(payload).unwrap();
        if pairs.len() < 2 {
            // With more, the order of the generated type's map is not defined.
            prop_assert_eq!(payload, message.encode_to_vec());
        }
        prop_assert_eq!(payload.len(), message.encoded_len());
        prop_assert_eq!(&message.headers, &request.headers);
        prop_assert_eq!(&message.key, &request.key);
        prop_assert_eq!(message.offset, request.expected_offset);
        let scanned = PublishedMessageRef::scan(payload).unwrap();
        prop_assert_eq!(scanned.value, &request.value[..]);
        prop_assert_eq!(scanned.ack_policy, AckPolicy::All);
        prop_assert_eq!(scanned.headers.len(), pairs.len());
    }

    #[test]
    fn a_stored_record_becomes_the_message_that_was_published(
        request in samples::publish_request(), offset in 0..=i64::MAX, time in any::<i64>(),
    ) {
        let mut record = BytesMut::new();
        let pairs: Vec<_> = request.headers.iter().map(|(k, v)| (k.as_str(), &v[..])).collect();
        let key = Some(&request.key[..]).filter(|key| !key.is_empty());
        append_record(&mut record, &Fields { key, value: &request.value, subject: "s.t", reply: "r" }, pairs).unwrap();
        let body = RecordIter::new(&record).next().unwrap().body().to_vec();
        let mut out = BytesMut::new();
        let framer = MessageFramer::new(&request.stream, PartitionId::new(3));
        framer.frame(&mut out, Offset::new(offset as u64), Timestamp::from_nanos(time), &body);
        let mut reader = FrameReader::new(1 << 20);
        reader.push(out.freeze());
        let message = api::Message::decode(reader.next_message().unwrap().unwrap()).unwrap();
        prop_assert_eq!(message.offset, offset);
        prop_assert_eq!(message.timestamp, time);
        prop_assert_eq!(message.partition, 3);
        prop_assert_eq!(&message.stream, &request.stream);
        prop_assert_eq!(&message.value, &request.value);
        prop_assert_eq!(&message.key, &request.key);
        prop_assert_eq!(&message.subject, "s.t");
        prop_assert_eq!(&message.reply_subject, "r");
        let mut expected = request.headers.clone();
        expected.insert("subject".into(), Bytes::from_static(b"s.t"));
        expected.insert("reply".into(), Bytes::from_static(b"r"));
        prop_assert_eq!(message.headers, expected);
    }

}

#[test]
fn the_published_vectors_of_the_envelope_are_met() {
    let smallest = hex("b90e43b4 00 08 00 00 1a0178");
    let message = PublishedMessageRef::scan(envelope::open(Kind::Publish, &smallest).unwrap()).unwrap();
    assert_eq!(
        (message.value, message.expected_offset),
        (&b"x"[..], ExpectedOffset::Exactly(0))
    );
    let fields = EnvelopeFields {
        key: b"k",
        value: b"hello",
        stream: "",
        subject: "",
        headers: HeadersRef::EMPTY,
        ack_inbox: "acks",
        correlation_id: "c1",
        ack_policy: AckPolicy::Leader,
        expected_offset: ExpectedOffset::Any,
    };
    let mut out = BytesMut::new();
    put_publish_envelope(&mut out, &fields);
    let plain = hex("b90e43b4 00 08 00 00 08ffffffffffffffffff0112016b1a0568656c6c6f520461636b735a026331");
    assert_eq!(out, plain);
    let with_crc =
        hex("b90e43b4 00 0c 01 00 43664c6b 08ffffffffffffffffff0112016b1a0568656c6c6f520461636b735a026331");
    assert_eq!(envelope::open(Kind::Publish, &with_crc), Some(&plain[8..]));
}

#[test]
fn the_published_vector_of_an_ack_is_met() {
    let mut template = AckTemplate::new("foo-stream", "foo", AckPolicy::Leader);
    let ack = AckFields {
        offset: Some(Offset::ZERO),
        msg_subject: "foo",
        ack_inbox: "acks",
        correlation_id: "c1",
        reception: Timestamp::from_nanos(1000),
        commit: Timestamp::from_nanos(2000),
        ..AckFields::default()
    };
    let mut out = BytesMut::new();
    template.envelope(&mut out, &ack);
    let expected =
        "b90e43b4 00 08 00 01 0a0a666f6f2d73747265616d1203666f6f1a03666f6f2a0461636b733202633140e80748d00f";
    assert_eq!(out, hex(expected));
}

#[test]
fn an_error_carries_no_offset_and_a_too_large_message_no_commit_time() {
    let mut template = AckTemplate::new("s", "subj", AckPolicy::All);
    let ack = AckFields {
        offset: Some(Offset::new(300)),
        msg_subject: "subj.1",
        ack_inbox: "in",
        correlation_id: "c",
        reception: Timestamp::from_nanos(1),
        commit: Timestamp::from_nanos(2),
        error: Some(AckError::TooLarge),
    };
    let mut out = BytesMut::new();
    template.response_frame(&mut out, &ack);
    let expected = api::PublishResponse {
        ack: Some(api::Ack {
            stream: "s".into(),
            partition_subject: "subj".into(),
            msg_subject: "subj.1".into(),
            offset: 0,
            ack_inbox: "in".into(),
            correlation_id: "c".into(),
            ack_policy: 1,
            reception_timestamp: 1,
            commit_timestamp: 0,
            ack_error: 3,
        }),
        async_error: None,
        correlation_id: "c".into(),
    };
    assert_eq!(&out[5..], expected.encode_to_vec());
    assert_eq!(out[..5], [0, 0, 0, 0, (out.len() - 5) as u8]);
}

#[test]
fn a_batch_gives_the_frames_of_the_wanted_offsets() {
    let mut builder = BatchBuilder::new();
    for (offset, time) in [(7, 100), (8, 100), (11, 250)] {
        let mut record = BytesMut::new();
        let value = [offset as u8];
        append_record(
            &mut record,
            &Fields {
                key: None,
                value: &value,
                subject: "s",
                reply: "",
            },
            [],
        )
        .unwrap();
        let record = RecordIter::new(&record).next().unwrap();
        builder.push(
            &record,
            LeaderEpoch::ZERO,
            Offset::new(offset),
            Timestamp::from_nanos(time),
        );
    }
    let batch = builder.finish().unwrap();
    let wanted = OffsetRange::new(Offset::new(8), Offset::new(12));
    let framer = MessageFramer::new("s", PartitionId::new(2));
    let mut frames = framer.batch(&batch, wanted);
    let mut reader = FrameReader::new(1000);
    // A piece is full with its first frame; the end shows when there is no other.
    for is_done in [false, false, true] {
        let mut out = BytesMut::new();
        assert_eq!(frames.put(&mut out, 1), is_done);
        reader.push(out.freeze());
    }
    let mut seen = Vec::new();
    while let Some(message) = reader.next_message().unwrap() {
        let message = api::Message::decode(message).unwrap();
        assert_eq!((message.stream.as_str(), message.partition), ("s", 2));
        seen.push((message.offset, message.timestamp, message.value.to_vec()));
    }
    assert_eq!(seen, [(8, 100, vec![8]), (11, 250, vec![11])]);
}

#[test]
fn a_message_of_progress_has_an_offset_and_its_header_and_nothing_else() {
    let mut out = BytesMut::new();
    let framer = MessageFramer::new("s", PartitionId::new(2));
    framer.progress(&mut out, Offset::new(300), Timestamp::from_nanos(7));
    let mut reader = FrameReader::new(1000);
    reader.push(out.freeze());
    let message = api::Message::decode(reader.next_message().unwrap().unwrap()).unwrap();
    let expected = api::Message {
        offset: 300,
        timestamp: 7,
        stream: "s".to_owned(),
        partition: 2,
        headers: [(PROGRESS_HEADER.to_owned(), Bytes::new())].into(),
        ..api::Message::default()
    };
    assert_eq!(message, expected);
}

#[test]
fn an_ack_without_an_offset_has_one_that_is_none() {
    let mut out = BytesMut::new();
    let mut template = AckTemplate::new("s", "t", AckPolicy::Leader);
    template.response_frame(&mut out, &AckFields::default());
    let mut reader = FrameReader::new(1000);
    reader.push(out.freeze());
    let response = api::PublishResponse::decode(reader.next_message().unwrap().unwrap()).unwrap();
    let ack = response.ack.unwrap();
    assert_eq!((ack.offset, ack.ack_error()), (-1, api::ack::Error::Ok));
}

const POLICIES: [AckPolicy; 3] = [AckPolicy::Leader, AckPolicy::All, AckPolicy::None];

const ERRORS: [(Option<AckError>, api::ack::Error); 5] = [
    (None, api::ack::Error::Ok),
    (Some(AckError::Unknown), api::ack::Error::Unknown),
    (Some(AckError::IncorrectOffset), api::ack::Error::IncorrectOffset),
    (Some(AckError::TooLarge), api::ack::Error::TooLarge),
    (Some(AckError::Encryption), api::ack::Error::Encryption),
];

/// By number.
const CODES: [AsyncErrorCode; 8] = [
    AsyncErrorCode::Unknown,
    AsyncErrorCode::BadRequest,
    AsyncErrorCode::NotFound,
    AsyncErrorCode::Internal,
    AsyncErrorCode::Readonly,
    AsyncErrorCode::IncorrectOffset,
    AsyncErrorCode::EncryptionFailed,
    AsyncErrorCode::PermissionDenied,
];

fn assert_frame(frame: &[u8], response: &api::PublishResponse) {
    let response = response.encode_to_vec();
    assert_eq!(
        frame[..5],
        [&[0][..], &(response.len() as u32).to_be_bytes()].concat()
    );
    assert_eq!(frame[5..], response);
}
