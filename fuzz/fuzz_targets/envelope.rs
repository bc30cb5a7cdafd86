//! What arrives on a stream's subject: the frame, and the protobuf inside it. Our reader in place and the generated
//! decoder must agree on every input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;

use strandline_core::envelope::{self, Kind};
use strandline_proto::api::{Message, PublishRequest};
use strandline_proto::wire::{PublishRequestRef, PublishedMessageRef};

fuzz_target!(|data: &[u8]| {
    if let Some(payload) = envelope::open(Kind::Publish, data) {
        assert!(payload.len() <= data.len());
        compare_messages(payload);
    }
    envelope::open(Kind::Ack, data);
    compare_messages(data);
    compare_requests(data);
});

fn compare_messages(bytes: &[u8]) {
    match (PublishedMessageRef::scan(bytes), Message::decode(bytes)) {
        (Ok(scanned), Ok(decoded)) => {
            assert_eq!(scanned.key, decoded.key);
            assert_eq!(scanned.value, decoded.value);
            assert_eq!(scanned.stream, decoded.stream);
            assert_eq!(scanned.ack_inbox, decoded.ack_inbox);
            assert_eq!(scanned.correlation_id, decoded.correlation_id);
        }
        (scanned, decoded) => assert_eq!(scanned.is_ok(), decoded.is_ok(), "{scanned:?} but {decoded:?}"),
    }
}

fn compare_requests(bytes: &[u8]) {
    match (PublishRequestRef::scan(bytes), PublishRequest::decode(bytes)) {
        (Ok(scanned), Ok(decoded)) => {
            assert_eq!(scanned.key, decoded.key);
            assert_eq!(scanned.value, decoded.value);
            assert_eq!(scanned.stream, decoded.stream);
            assert_eq!(scanned.partition, decoded.partition);
        }
        (scanned, decoded) => assert_eq!(scanned.is_ok(), decoded.is_ok(), "{scanned:?} but {decoded:?}"),
    }
}
