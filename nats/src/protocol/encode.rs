//! Messages and errors as the client reads them.

use crate::message::Message;

/// Digits of the largest `usize` and then some.
const MAX_DIGITS: usize = 20;

/// Appends a `MSG`, or an `HMSG` if the message has headers and `with_headers` says that the client reads them; to others
/// the header block is cut off.
pub(crate) fn write_message(out: &mut Vec<u8>, sid: &[u8], message: &Message<'_>, with_headers: bool) {
    let headers = if with_headers { message.headers } else { &[] };
    let reply = message.reply.unwrap_or_default();
    let total = headers.len() + message.payload.len();
    out.reserve(message.subject.len() + sid.len() + reply.len() + total + 4 * MAX_DIGITS);
    out.extend_from_slice(if headers.is_empty() { b"MSG " } else { b"HMSG " });
    out.extend_from_slice(message.subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
    if message.reply.is_some() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if !headers.is_empty() {
        write_number(out, headers.len());
        out.push(b' ');
    }
    write_number(out, total);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(message.payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends an `-ERR` line.
pub(crate) fn write_error(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [b'0'; MAX_DIGITS];
    let mut rest = number;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(MAX_DIGITS - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &Message<'_>, with_headers: bool) -> String {
        let mut out = Vec::new();
        write_message(&mut out, b"7", message, with_headers);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn parts_are_separated_by_single_blanks() {
        let plain = Message {
            subject: b"a.b",
            reply: None,
            headers: b"",
            payload: b"hello",
        };
        assert_eq!(written(&plain, true), "MSG a.b 7 5\r\nhello\r\n");
        let answered = Message {
            reply: Some(b"in"),
            payload: b"",
            ..plain
        };
        assert_eq!(written(&answered, true), "MSG a.b 7 in 0\r\n\r\n");
    }

    #[test]
    fn headers_are_cut_off_for_clients_that_do_not_read_them() {
        let message = Message {
            subject: b"a",
            reply: Some(b"r"),
            headers: b"NATS/1.0\r\n\r\n",
            payload: b"hi",
        };
        assert_eq!(
            written(&message, true),
            "HMSG a 7 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
        );
        assert_eq!(written(&message, false), "MSG a 7 r 2\r\nhi\r\n");
    }

    #[test]
    fn numbers_of_any_length_are_written() {
        for number in [0, 1, 9, 10, 1_048_576, usize::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
