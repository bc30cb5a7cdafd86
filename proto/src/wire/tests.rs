//! The hand-written codecs against the generated ones.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message as _;

use strandline_core::envelope::{self, Kind};
use strandline_core::record::{Fields, RecordIter, append_record};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_core::{Offset, PartitionId, Timestamp};

use super::*;
use crate::api;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn headers() -> impl Strategy<Value = HashMap<String, Bytes>> {
    proptest::collection::hash_map(
        ".{0,8}",
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Bytes::from),
        0..4,
    )
}

fn small_bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

prop_compose! {
    fn request()(
        key in small_bytes(), value in small_bytes(), stream in ".{0,12}", partition in any::<i32>(),
        headers in headers(), ack_inbox in ".{0,12}", correlation_id in ".{0,40}", ack_policy in 0..3,
        expected_offset in any::<i64>(),
    ) -> api::PublishRequest {
        api::PublishRequest {
            key, value, stream, partition, headers, ack_inbox, correlation_id, ack_policy, expected_offset,
        }
    }
}

proptest! {
    #[test]
    fn a_request_reads_as_the_generated_decoder_reads_it(request in request()) {
        let bytes = request.encode_to_vec();
        let scanned = PublishRequestRef::scan(&bytes).unwrap();
        prop_assert_eq!(scanned.key, &request.key[..]);
        prop_assert_eq!(scanned.value, &request.value[..]);
        prop_assert_eq!(scanned.stream, &request.stream);
        prop_assert_eq!(scanned.partition, request.partition);
        prop_assert_eq!(scanned.ack_inbox, &request.ack_inbox);
        prop_assert_eq!(scanned.correlation_id, &request.correlation_id);
        prop_assert_eq!(crate::convert::ack_policy_number(scanned.ack_policy), request.ack_policy);
        prop_assert_eq!(crate::convert::expected_offset_number(scanned.expected_offset), request.expected_offset);
        let headers: HashMap<_, _> =
            scanned.headers.iter().map(|(k, v)| (k.to_owned(), Bytes::copy_from_slice(v))).collect();
        prop_assert_eq!(headers, request.headers);
    }

    #[test]
    fn arbitrary_bytes_are_refused_when_the_generated_decoder_refuses_them(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let scanned = PublishRequestRef::scan(&bytes);
        if api::PublishRequest::decode(&bytes[..]).is_err() {
            prop_assert!(scanned.is_err());
        }
        let scanned = PublishedMessageRef::scan(&bytes);
        if api::Message::decode(&bytes[..]).is_err() {
            prop_assert!(scanned.is_err());
        }
    }

    #[test]
    fn a_request_with_flipped_bytes_never_panics(request in request(), at in any::<usize>(), with in any::<u8>()) {
        let mut bytes = request.encode_to_vec();
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] ^= with;
        }
        let _ = PublishRequestRef::scan(&bytes).map(|request| request.headers.iter().count());
    }

    #[test]
    fn an_envelope_reads_back_and_as_a_generated_message(request in request()) {
        let pairs: Vec<_> = request.headers.iter().map(|(k, v)| (k.as_str(), &v[..])).collect();
        let fields = EnvelopeFields {
            key: &request.key, value: &request.value, stream: &request.stream, subject: "s.t",
            headers: HeadersRef::Pairs(&pairs), ack_inbox: &request.ack_inbox,
            correlation_id: &request.correlation_id, ack_policy: AckPolicy::All,
            expected_offset: crate::convert::expected_offset(request.expected_offset),
        };
        let mut out = BytesMut::new();
        put_publish_envelope(&mut out, &fields);
        let payload = envelope::open(Kind::Publish, &out).unwrap();
        let message = api::Message::decode(payload).unwrap();
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
        request in request(), offset in 0..=i64::MAX, time in any::<i64>(),
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

    #[test]
    fn any_split_of_the_stream_gives_the_same_messages(
        messages in proptest::collection::vec(small_bytes(), 0..6), cuts in proptest::collection::vec(1_usize..200, 1..40),
    ) {
        let mut stream = Vec::new();
        for message in &messages {
            stream.push(0);
            stream.extend_from_slice(&(message.len() as u32).to_be_bytes());
            stream.extend_from_slice(message);
        }
        let (mut reader, mut rest, mut found) = (FrameReader::new(300), &stream[..], Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (data, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            reader.push(Bytes::copy_from_slice(data));
            while let Some(message) = reader.next_message().unwrap() {
                found.push(Bytes::copy_from_slice(message));
            }
        }
        prop_assert_eq!(found, messages);
        prop_assert!(!reader.is_mid_frame());
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
    let template = AckTemplate::new("foo-stream", "foo", AckPolicy::Leader);
    let ack = AckFields {
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
fn a_response_frame_is_what_the_generated_encoder_makes() {
    let template = AckTemplate::new("s", "subj", AckPolicy::All);
    let ack = AckFields {
        offset: Offset::new(300),
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
            offset: 300,
            ack_inbox: "in".into(),
            correlation_id: "c".into(),
            ack_policy: 1,
            reception_timestamp: 1,
            commit_timestamp: 2,
            ack_error: 3,
        }),
        async_error: None,
        correlation_id: "c".into(),
    };
    assert_eq!(&out[5..], expected.encode_to_vec());
    assert_eq!(out[..5], [0, 0, 0, 0, (out.len() - 5) as u8]);
}

#[test]
fn an_async_error_is_what_the_generated_encoder_makes() {
    let error = AsyncError {
        code: AsyncErrorCode::NotFound,
        message: "no such stream: x".into(),
    };
    let mut out = BytesMut::new();
    put_async_error(&mut out, "c", &error);
    let expected = api::PublishResponse {
        ack: Some(api::Ack::default()),
        async_error: Some(api::PublishAsyncError {
            code: 2,
            message: "no such stream: x".into(),
        }),
        correlation_id: "c".into(),
    };
    assert_eq!(&out[5..], expected.encode_to_vec());
}

#[test]
fn a_message_over_the_limit_or_compressed_is_refused_before_it_is_collected() {
    let mut reader = FrameReader::new(10);
    reader.push(Bytes::from_static(&[0, 0, 0, 0, 11]));
    assert_eq!(
        reader.next_message(),
        Err(FrameError::TooLarge {
            bytes: 11,
            max_bytes: 10
        })
    );
    let mut reader = FrameReader::new(10);
    reader.push(Bytes::from_static(&[1, 0, 0, 0, 1, 0]));
    assert_eq!(reader.next_message(), Err(FrameError::Compressed));
}
