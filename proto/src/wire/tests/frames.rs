//! The reader of frames.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::samples;
use super::super::*;

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_messages(
        messages in proptest::collection::vec(samples::bytes(), 0..6), cuts in proptest::collection::vec(1_usize..200, 1..40),
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

#[test]
fn a_refused_message_is_refused_again_and_its_prefix_may_come_in_pieces() {
    let prefix = [0, 0xff, 0xff, 0xff, 0xff];
    for cut in 1..5 {
        let mut reader = FrameReader::new(1000);
        reader.push(Bytes::copy_from_slice(&prefix[..cut]));
        assert_eq!(reader.next_message(), Ok(None));
        assert!(reader.is_mid_frame());
        reader.push(Bytes::copy_from_slice(&prefix[cut..]));
        let refused = reader.next_message().map(|_| ());
        assert!(
            matches!(refused, Err(FrameError::TooLarge { max_bytes: 1000, .. })),
            "{refused:?}"
        );
        assert_eq!(reader.next_message().map(|_| ()), refused);
    }
}

#[test]
fn a_message_that_is_whole_is_lent_from_its_data() {
    let data = Bytes::from_static(b"\0\0\0\0\x03one\0\0\0\0\x03two");
    let mut reader = FrameReader::new(10);
    reader.push(data.clone());
    for start in [5, 13] {
        let message = reader.next_message().unwrap().unwrap();
        assert_eq!(message.as_ptr(), data[start..].as_ptr());
    }
    assert_eq!(reader.next_message(), Ok(None));
    assert!(!reader.is_mid_frame());
}
