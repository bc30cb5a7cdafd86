//! What a NATS server sends.

use memchr::memchr;

/// A message for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery<'a> {
    /// Where an answer goes; empty = none is wanted.
    pub(crate) reply: &'a [u8],
    /// Headers with their first line; empty = none.
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    Delivery(Delivery<'a>),
    Info(&'a [u8]),
    Ping,
    Pong,
    Ok,
    Error(&'a [u8]),
    Unknown(&'a [u8]),
}

/// The first operation and its length; none until more bytes come.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Op<'_>, usize)> {
    let line_end = memchr(b'\n', bytes)?;
    let line = bytes.get(..line_end)?.trim_ascii_end();
    let body = line_end + 1;
    if let Some(arguments) = line.strip_prefix(b"MSG ") {
        return delivery(bytes, body, arguments, false);
    }
    if let Some(arguments) = line.strip_prefix(b"HMSG ") {
        return delivery(bytes, body, arguments, true);
    }
    let op = match line {
        b"PING" => Op::Ping,
        b"PONG" => Op::Pong,
        b"+OK" => Op::Ok,
        _ => match (line.strip_prefix(b"INFO "), line.strip_prefix(b"-ERR ")) {
            (Some(info), _) => Op::Info(info),
            (_, Some(error)) => Op::Error(error),
            _ => Op::Unknown(line),
        },
    };
    Some((op, body))
}

/// Subject, subscription, perhaps a reply subject, perhaps the headers' length, and the length of everything.
fn delivery<'a>(
    bytes: &'a [u8],
    body: usize,
    arguments: &'a [u8],
    has_headers: bool,
) -> Option<(Op<'a>, usize)> {
    let mut words = arguments.rsplit(|&byte| byte == b' ');
    let total = number(words.next()?);
    let headers = if has_headers { number(words.next()?) } else { 0 };
    let others = words.clone().count();
    let reply = if others == 3 { words.next()? } else { &[] };
    let end = body.checked_add(total)?;
    let content = bytes.get(body..end)?;
    let length = end + 2;
    if bytes.len() < length {
        return None;
    }
    let (headers, payload) = content.split_at_checked(headers)?;
    let delivery = Delivery {
        reply,
        headers,
        payload,
    };
    Some((Op::Delivery(delivery), length))
}

fn number(digits: &[u8]) -> usize {
    digits.iter().fold(0, |number: usize, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_cut_where_they_end() {
        let bytes = b"MSG a.b 1 5\r\nhello\r\nMSG a 1 in.box 0\r\n\r\nHMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n-ERR 'x y'\r\nPO";
        let mut rest = &bytes[..];
        let mut ops = Vec::new();
        while let Some((op, used)) = parse(rest) {
            ops.push(op);
            rest = &rest[used..];
        }
        let message = |reply: &'static [u8], headers: &'static [u8], payload: &'static [u8]| {
            Op::Delivery(Delivery {
                reply,
                headers,
                payload,
            })
        };
        let expected = [
            message(b"", b"", b"hello"),
            message(b"in.box", b"", b""),
            message(b"r", b"NATS/1.0\r\n\r\n", b"hi"),
            Op::Ping,
            Op::Error(b"'x y'"),
        ];
        assert_eq!(ops, expected);
        assert_eq!(rest, b"PO");
        for cut in 0..bytes.len() {
            let _ = parse(&bytes[..cut]);
        }
    }
}
