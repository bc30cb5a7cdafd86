//! What the property tests of this module are fed with.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;

use super::HeadersRef;
use crate::api::{Message, PublishRequest};

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

pub(super) fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 100..200)].prop_map(Bytes::from)
}

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.]{1,12}", "\\PC{0,8}"]
}

pub(super) fn headers() -> impl Strategy<Value = HashMap<String, Bytes>> {
    prop_oneof![
        4 => hash_map("[a-c]{0,3}", bytes(), 0..4),
        1 => hash_map(text(), bytes(), 10..40),
    ]
}

/// Numbers of every length, the small ones and the negative ones more often than chance has it.
pub(super) fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        -2i64..3,
        any::<i64>(),
        (any::<i64>(), 0u32..63).prop_map(|(value, shift)| value >> shift)
    ]
}

fn policy() -> impl Strategy<Value = i32> {
    prop_oneof![4 => 0i32..3, 1 => any::<i32>()]
}

prop_compose! {
    pub(super) fn publish_request()(
        (key, value, stream, headers) in (bytes(), bytes(), text(), headers()),
        (ack_inbox, correlation_id) in (text(), text()),
        (partition, ack_policy, expected_offset) in (number(), policy(), number()),
    ) -> PublishRequest {
        let partition = partition as i32;
        PublishRequest {
            key, value, stream, partition, headers, ack_inbox, correlation_id, ack_policy, expected_offset,
        }
    }
}

prop_compose! {
    pub(super) fn message()(
        (key, value, stream, headers) in (bytes(), bytes(), text(), headers()),
        (subject, reply_subject, ack_inbox, correlation_id) in (text(), text(), text(), text()),
        (offset, timestamp, partition, ack_policy) in (number(), number(), number(), policy()),
    ) -> Message {
        let partition = partition as i32;
        Message {
            offset, key, value, timestamp, stream, partition, subject, reply_subject, headers, ack_inbox,
            correlation_id, ack_policy,
        }
    }
}

/// Encoded messages with a few bytes changed, cut off or repeated.
pub(super) fn damaged(whole: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let wounds = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (whole, wounds, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut bytes, wounds, at, cut)| {
        for (at, byte) in wounds {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let at = at.index(bytes.len() + 1);
        if cut {
            bytes.truncate(at);
        } else {
            bytes.extend_from_within(at..);
        }
        bytes
    })
}

/// Bytes that often are fields: known and unknown ones of all wire types, groups, embedded fields. Few at a time, since
/// one field of a wrong type spoils the rest.
pub(super) fn protobuf_like() -> impl Strategy<Value = Vec<u8>> {
    let flat = vec(field(vec(any::<u8>(), 0..6)), 0..4).prop_map(|fields| fields.concat());
    let nested = vec(field(flat), 0..4).prop_map(|fields| fields.concat());
    prop_oneof![4 => nested, 1 => vec(any::<u8>(), 0..40)]
}

fn field(content: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let wire_type = prop_oneof![6 => Just(2u8), 3 => Just(0u8), 1 => 0u8..6];
    let error = prop_oneof![9 => Just(0i8), 1 => -1i8..2];
    (1u8..16, wire_type, content, error).prop_map(|(number, wire_type, content, error)| {
        let key = (number << 3) | wire_type;
        match wire_type {
            0 => vec![key, content.len() as u8],
            1 => [&[key][..], &[1; 8]].concat(),
            2 => {
                let mut bytes = vec![key];
                let length = (content.len() as u64).saturating_add_signed(error.into());
                prost::encoding::encode_varint(length, &mut bytes);
                bytes.extend(content);
                bytes
            }
            3 => [&[key][..], &content, &[key + 1]].concat(),
            5 => [&[key][..], &[1; 4]].concat(),
            _ => vec![key],
        }
    })
}

pub(super) fn assert_same_headers(scanned: &HeadersRef<'_>, decoded: &HashMap<String, Bytes>) {
    let headers: Vec<_> = scanned.iter().collect();
    assert_eq!(headers.len(), decoded.len());
    assert_eq!(scanned.is_empty(), decoded.is_empty());
    for (name, value) in headers {
        assert_eq!(decoded.get(name).map(Bytes::as_ref), Some(value));
    }
}
