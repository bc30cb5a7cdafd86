//! What is read, against the generated decoders.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::super::samples::{self, assert_same_headers, damaged, protobuf_like};
use super::super::*;
use crate::{api, convert};

proptest! {
    #[test]
    fn a_request_reads_as_the_generated_decoder_reads_it(request in samples::publish_request()) {
        let bytes = request.encode_to_vec();
        assert_same_request(&PublishRequestRef::scan(&bytes).unwrap(), &request);
    }

    #[test]
    fn a_message_reads_as_the_generated_decoder_reads_it(message in samples::message()) {
        let bytes = message.encode_to_vec();
        assert_same_message(&PublishedMessageRef::scan(&bytes).unwrap(), &message);
    }

    #[test]
    fn of_repeated_fields_the_last_counts_as_with_the_generated_decoder(
        requests in proptest::collection::vec(samples::publish_request(), 0..4),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.encode_to_vec()).collect();
        assert_agrees_on_request(&bytes);
    }

    #[test]
    fn damaged_bytes_are_taken_and_refused_as_the_generated_decoder_does(
        request in damaged(samples::publish_request().prop_map(|request| request.encode_to_vec())),
        message in damaged(samples::message().prop_map(|message| message.encode_to_vec())),
    ) {
        assert_agrees_on_request(&request);
        assert_agrees_on_message(&message);
    }

    #[test]
    fn any_bytes_are_taken_and_refused_as_the_generated_decoder_does(bytes in protobuf_like()) {
        assert_agrees_on_request(&bytes);
        assert_agrees_on_message(&bytes);
    }

}

#[test]
fn the_last_header_of_a_name_wins_whether_there_are_few_or_many() {
    let with_header = |name: String, value: &'static str| {
        let headers = [(name, Bytes::from_static(value.as_bytes()))].into();
        api::PublishRequest {
            headers,
            ..Default::default()
        }
        .encode_to_vec()
    };
    for count in [3, 14, 15, 16, 400] {
        let mut message = with_header("a".to_owned(), "old");
        for number in 0..count {
            message.extend(with_header(format!("h{number}"), "x"));
            message.extend([0x78, 0x01]);
        }
        message.extend(with_header("a".to_owned(), "new"));
        let headers: Vec<_> = PublishRequestRef::scan(&message)
            .unwrap()
            .headers
            .iter()
            .collect();
        assert_eq!(headers.len(), count + 1);
        assert_eq!(headers.last(), Some(&("a", &b"new"[..])));
    }
}

#[test]
fn every_text_must_be_utf_8_and_every_known_field_of_its_own_type() {
    for field in 1..13 {
        let text = [field << 3 | 2, 1, 0xff];
        let header = [field << 3 | 2, 3, 0x0a, 1, 0xff];
        for bytes in [
            &text[..],
            &header,
            &[field << 3, 1],
            &[field << 3 | 5, 1, 2, 3, 4],
        ] {
            assert_agrees_on_request(bytes);
            assert_agrees_on_message(bytes);
        }
    }
}

#[test]
fn a_number_has_at_most_ten_bytes_and_64_bits() {
    for last in 0..4 {
        for bytes in 0..12 {
            let number = [vec![0x08], vec![0xff; bytes], vec![last]].concat();
            assert_agrees_on_message(&number);
            assert_agrees_on_message(&number[..number.len() - 1]);
            assert_agrees_on_request(&[&[0x48], &number[1..]].concat());
        }
    }
}

#[test]
fn unknown_groups_are_passed_as_long_as_they_end_and_do_not_nest_without_end() {
    // Field 15: begin 0x7b, end 0x7c; field 14 ends with 0x74.
    let scan = |bytes: &[u8]| PublishRequestRef::scan(bytes).map(|_| ());
    assert_eq!(scan(&[0x7b, 0x08, 0x01, 0x7c]), Ok(()));
    assert_eq!(scan(&[0x7b, 0x74]), Err(ScanError::GroupEnd { field: 14 }));
    assert_eq!(scan(&[0x7c]), Err(ScanError::GroupEnd { field: 15 }));
    assert_eq!(scan(&[0x7b; 100_000]), Err(ScanError::TooDeep));
    for depth in 98..103 {
        let nested = [vec![0x7b; depth], vec![0x7c; depth]].concat();
        assert_agrees_on_request(&nested);
        let length = [(nested.len() as u8) | 0x80, (nested.len() >> 7) as u8];
        assert_agrees_on_request(&[&[0x2a][..], &length, &nested].concat());
    }
}

fn assert_same_request(scanned: &PublishRequestRef<'_>, decoded: &api::PublishRequest) {
    assert_eq!(scanned.key, decoded.key);
    assert_eq!(scanned.value, decoded.value);
    assert_eq!(scanned.stream, decoded.stream);
    assert_eq!(scanned.partition, decoded.partition);
    assert_same_headers(&scanned.headers, &decoded.headers);
    assert_eq!(scanned.ack_inbox, decoded.ack_inbox);
    assert_eq!(scanned.correlation_id, decoded.correlation_id);
    assert_eq!(
        scanned.ack_policy,
        convert::ack_policy(decoded.ack_policy).unwrap_or_default()
    );
    assert_eq!(
        scanned.expected_offset,
        convert::expected_offset(decoded.expected_offset)
    );
}

fn assert_same_message(scanned: &PublishedMessageRef<'_>, decoded: &api::Message) {
    assert_eq!(scanned.key, decoded.key);
    assert_eq!(scanned.value, decoded.value);
    assert_eq!(scanned.stream, decoded.stream);
    assert_same_headers(&scanned.headers, &decoded.headers);
    assert_eq!(scanned.ack_inbox, decoded.ack_inbox);
    assert_eq!(scanned.correlation_id, decoded.correlation_id);
    assert_eq!(
        scanned.ack_policy,
        convert::ack_policy(decoded.ack_policy).unwrap_or_default()
    );
    assert_eq!(scanned.expected_offset, convert::expected_offset(decoded.offset));
}

fn assert_agrees_on_request(bytes: &[u8]) {
    match (PublishRequestRef::scan(bytes), api::PublishRequest::decode(bytes)) {
        (Ok(scanned), Ok(decoded)) => assert_same_request(&scanned, &decoded),
        (Err(_), Err(_)) => {}
        (scanned, decoded) => panic!("{bytes:x?}: {scanned:?} but {decoded:?}"),
    }
}

fn assert_agrees_on_message(bytes: &[u8]) {
    match (PublishedMessageRef::scan(bytes), api::Message::decode(bytes)) {
        (Ok(scanned), Ok(decoded)) => assert_same_message(&scanned, &decoded),
        (Err(_), Err(_)) => {}
        (scanned, decoded) => panic!("{bytes:x?}: {scanned:?} but {decoded:?}"),
    }
}
