//! What a NATS client sends, arriving in pieces of any size: what is found must not depend on the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;

use strandline_nats::{Parsed, Parser};

const MAX_CONTROL_LINE: usize = 64;
const MAX_PAYLOAD: usize = 256;

fuzz_target!(|data: &[u8]| {
    let mut parser = Parser::new(MAX_CONTROL_LINE, MAX_PAYLOAD);
    parser.allow_headers(data.len() % 2 == 0);
    let mut rest = data;
    while let Ok(Parsed::Complete { operation, length }) = parser.parse(rest) {
        assert!(length > 0 && length <= rest.len());
        for end in 0..length {
            match parser.parse(&rest[..end]) {
                Ok(Parsed::Incomplete { needed }) => {
                    assert!(needed > end && needed <= length, "{needed} of {length}")
                }
                Ok(Parsed::Complete { .. }) => panic!("complete at {end} of {length}: {operation:?}"),
                Err(error) => panic!("refused at {end} and taken at {length}: {error}"),
            }
        }
        rest = &rest[length..];
    }
});
