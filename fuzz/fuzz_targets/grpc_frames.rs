//! Messages of a gRPC stream, cut into DATA frames in any way, come out the same.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

use strandline_proto::wire::FrameReader;

const MAX_MESSAGE_BYTES: usize = 300;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else {
        return;
    };
    let whole = read(stream.len().max(1), stream);
    let pieces = read(usize::from(cut).max(1), stream);
    assert_eq!(whole, pieces);
});

/// The messages, and whether the stream could be read to its end.
fn read(piece: usize, stream: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut reader = FrameReader::new(MAX_MESSAGE_BYTES);
    let mut messages = Vec::new();
    for piece in stream.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            match reader.next_message() {
                Ok(Some(message)) => {
                    assert!(message.len() <= MAX_MESSAGE_BYTES);
                    messages.push(message.to_vec());
                }
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, true)
}
