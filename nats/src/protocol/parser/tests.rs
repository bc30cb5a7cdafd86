use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64;

fn parser() -> Parser {
    let mut parser = Parser::new(LIMIT, 1000);
    parser.allow_headers(true);
    parser
}

/// Everything the bytes mean: the operations in their debug form, and the error that ends them.
fn read_in_chunks(chunks: &[&[u8]]) -> (Vec<String>, Option<ProtocolError>) {
    let (mut unread, mut seen, mut needed) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        unread.extend_from_slice(chunk);
        while unread.len() >= needed {
            match parser().parse(&unread) {
                Ok(Parsed::Complete { operation, length }) => {
                    seen.push(format!("{operation:?}"));
                    unread.drain(..length);
                    needed = 0;
                    if unread.is_empty() {
                        break;
                    }
                }
                Ok(Parsed::Incomplete { needed: more }) => {
                    assert!(
                        more > unread.len(),
                        "an incomplete operation needs more than there is"
                    );
                    needed = more;
                }
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

fn first(input: &str) -> Result<Parsed<'_>, ProtocolError> {
    parser().parse(input.as_bytes())
}

fn operation(input: &str) -> Operation<'_> {
    match first(input) {
        Ok(Parsed::Complete { operation, .. }) => operation,
        other => panic!("{input:?}: {other:?}"),
    }
}

#[test]
fn names_are_case_insensitive_and_blanks_are_generous() {
    let wanted = Operation::Subscribe {
        filter: b"foo",
        queue: None,
        sid: b"1",
    };
    for line in [
        "SUB foo 1\r\n",
        "sub foo 1\r\n",
        "Sub\tfoo \t 1  \r\n",
        "SUB   foo\t1\n",
    ] {
        assert_eq!(operation(line), wanted, "{line:?}");
    }
    let wanted = Operation::Publish(Publish {
        subject: b"a",
        reply: Some(b"b"),
        headers: b"",
        payload: b"\r\n",
    });
    for line in ["PUB a b 2\r\n\r\n\r\n", "pub\ta  b\t2 \r\n\r\n\r\n"] {
        assert_eq!(operation(line), wanted, "{line:?}");
    }
}

#[test]
fn every_form_is_understood() {
    let wanted = Operation::Publish(Publish {
        subject: b"a",
        reply: None,
        headers: b"X:Y",
        payload: b"z",
    });
    assert_eq!(operation("HPUB a 3 4\r\nX:Yz\r\n"), wanted);
    assert_eq!(
        operation("SUB a q 9\r\n"),
        Operation::Subscribe {
            filter: b"a",
            queue: Some(b"q"),
            sid: b"9"
        }
    );
    assert_eq!(
        operation("UNSUB 9\r\n"),
        Operation::Unsubscribe { sid: b"9", max: None }
    );
    assert_eq!(
        operation("UNSUB 9 5\r\n"),
        Operation::Unsubscribe {
            sid: b"9",
            max: Some(5)
        }
    );
    assert_eq!(
        operation("UNSUB 9 -5\r\n"),
        Operation::Unsubscribe { sid: b"9", max: None }
    );
    assert_eq!(operation("PING whatever\r\n"), Operation::Ping);
    assert_eq!(operation("PONG\n"), Operation::Pong);
    assert_eq!(operation("+OK\r\n"), Operation::Ok);
    assert_eq!(operation("-ERR 'no'\r\n"), Operation::Error(b"'no'"));
    assert_eq!(
        operation("CONNECT { \"a\" : 1 } \r\n"),
        Operation::Connect(b"{ \"a\" : 1 }")
    );
    assert_eq!(operation("INFO {}\r\n"), Operation::Info(b"{}"));
}

#[test]
fn what_is_no_operation_fails_at_its_first_wrong_byte() {
    for line in [
        " PING", "ZZZ", "SUBZ", "PUBS", "UNSUB_", "PX", "\r", "MSG", "HM", "+X", "-OK", "PINGX\n", "Q",
    ] {
        let result = first(line);
        if line == "PINGX\n" {
            assert!(result.is_ok(), "text after a ping is ignored");
        } else {
            assert_eq!(result, Err(ProtocolError::UnknownOperation), "{line:?}");
        }
    }
}

#[test]
fn wrong_argument_counts_and_sizes_fail() {
    for line in [
        "PUB \r\n",
        "PUB foo\r\n",
        "PUB a b c 1\r\n",
        "PUB a b c d e f\r\n",
        "PUB a -1\r\n",
        "PUB a 1x\r\n",
        "PUB a 1234567890\r\n",
        "PUB a +1\r\n",
        "HPUB a 1\r\n",
        "HPUB a 5 4\r\n",
        "HPUB a b c 1 2\r\n",
        "SUB \r\n",
        "SUB a\r\n",
        "SUB a b c d\r\n",
        "UNSUB \r\n",
        "UNSUB 1 2 3\r\n",
        "CONNECT \r\n",
        "INFO \r\n",
    ] {
        assert!(
            matches!(first(line), Err(ProtocolError::BadArguments(_))),
            "{line:?}: {:?}",
            first(line)
        );
    }
}

#[test]
fn a_client_that_did_not_announce_headers_may_not_send_them() {
    let mut parser = parser();
    parser.allow_headers(false);
    assert_eq!(
        parser.parse(b"HPUB a 0 0\r\n\r\n"),
        Err(ProtocolError::BadArguments("HPUB"))
    );
}

#[test]
fn too_large_a_payload_is_refused_before_its_body() {
    assert_eq!(
        first("PUB a 1001\r\n"),
        Err(ProtocolError::PayloadTooLarge { size: 1001 })
    );
    assert!(matches!(
        first("PUB a 1000\r\n"),
        Ok(Parsed::Incomplete { needed: 1013 })
    ));
}

#[test]
fn a_payload_ends_with_exactly_cr_lf() {
    for line in [
        "PUB a 2\r\nhiX",
        "PUB a 2\r\nhi\n",
        "PUB a 2\r\nhi\rX",
        "PUB a 2\r\nhello\r\n",
    ] {
        assert_eq!(first(line), Err(ProtocolError::UnknownOperation), "{line:?}");
    }
}

#[test]
fn the_control_line_limit_holds_whole_and_in_pieces() {
    let fits = format!("SUB {:<width$}1\r\n", "foo", width = LIMIT - 2);
    assert!(
        matches!(first(&fits), Ok(Parsed::Complete { .. })),
        "{:?}",
        first(&fits)
    );
    let long = format!("SUB {} 1\r\n", "f".repeat(LIMIT));
    assert_eq!(first(&long), Err(ProtocolError::ControlLineTooLong));
    let pieces: Vec<&[u8]> = long.as_bytes().chunks(1).collect();
    assert_eq!(read_in_chunks(&pieces).1, Some(ProtocolError::ControlLineTooLong));
    assert_eq!(
        first(&format!("CONNECT {{{}", "x".repeat(LIMIT))),
        Err(ProtocolError::ControlLineTooLong)
    );
}

/// Pieces that meet often: whole operations, halves of them, and garbage.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let fixed = [
        "PING\r\n",
        "PONG\r\n",
        "PUB foo 5\r\nhello\r\n",
        "pub foo bar 0\r\n\r\n",
        "HPUB a 3 5\r\nX:Yhi\r\n",
        "SUB a.> q 1\r\n",
        "UNSUB 1 5\r\n",
        "CONNECT {\"verbose\":false}\r\n",
        "+OK\r\n",
        "INFO {}\n",
        "PUB foo 3\r\n",
        "\r\n",
        "SUB ",
        " 9",
        "x",
        "PUB x 4\r\n\r\n\r\n\r\n",
        "UNSUB 22\n",
        "PUB ä 1\r\n\0\r\n",
    ];
    let known = proptest::sample::select(fixed.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let noise = proptest::collection::vec(any::<u8>(), 0..12);
    let parts = prop_oneof![8 => known, 1 => noise];
    proptest::collection::vec(parts, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn fed_whole_equals_fed_in_any_pieces(input in pieces(), cuts in proptest::collection::vec(1_usize..9, 1..40)) {
        let whole = read_in_chunks(&[&input]);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&whole, &read_in_chunks(&single));
        let mut rest = input.as_slice();
        let mut random = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            random.push(piece);
            rest = tail;
        }
        prop_assert_eq!(&whole, &read_in_chunks(&random));
    }

    #[test]
    fn no_input_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_in_chunks(&[&input]);
    }
}
