//! The parser: looks at the unread bytes of a connection and names the first operation in them.
//!
//! It keeps no bytes and no state between calls, so how the bytes were split on their way cannot change what they mean:
//! an incomplete operation is simply looked at again once there is more, and an error is reported by the shortest prefix
//! that proves it.

use super::arguments::{Arguments, Line, count, size};
use super::name::Name;
use super::operation::{Operation, ProtocolError, Publish};

const LINE_END: &[u8] = b"\r\n";

/// Reads the operations of one client.
///
/// ```
/// use strandline_nats::{Operation, Parsed, Parser};
///
/// let parser = Parser::new(4096, 1024 * 1024);
/// let Ok(Parsed::Complete { operation, length }) = parser.parse(b"PING\r\nPUB a 2\r\nhi\r\n") else { unreachable!() };
/// assert_eq!((operation, length), (Operation::Ping, 6));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Parser {
    max_control_line: usize,
    max_payload: usize,
    headers: bool,
}

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole operation in the first `length` bytes.
    Complete {
        /// The operation.
        operation: Operation<'a>,
        /// Bytes it took.
        length: usize,
    },
    /// The beginning of an operation; parsing again before `needed` bytes are there is useless.
    Incomplete {
        /// Total bytes, counted like the input's length, that can bring news. Always more than the input has.
        needed: usize,
    },
}

impl Parser {
    /// A parser with the limits of a connection, in bytes. Headers are refused until
    /// [`allow_headers`](Self::allow_headers).
    pub fn new(max_control_line: usize, max_payload: usize) -> Self {
        Self {
            max_control_line,
            max_payload,
            headers: false,
        }
    }

    /// Says whether the client announced headers, without which `HPUB` is an error.
    pub fn allow_headers(&mut self, allowed: bool) {
        self.headers = allowed;
    }

    /// Changes the payload limit, in bytes.
    pub fn set_max_payload(&mut self, max_payload: usize) {
        self.max_payload = max_payload;
    }

    /// Names the first operation in `input`.
    ///
    /// # Errors
    /// The bytes can be no operation, whatever follows, or exceed a limit. The connection is past help.
    pub fn parse<'a>(&self, input: &'a [u8]) -> Result<Parsed<'a>, ProtocolError> {
        let incomplete = Ok(Parsed::Incomplete {
            needed: input.len() + 1,
        });
        if let [b'P', b'U', b'B', b' ', rest @ ..] = input {
            return self.parse_arguments(Name::Pub, 4, rest, input);
        }
        let Some(name) = Name::recognize(input)? else {
            return incomplete;
        };
        let length = name.text().len();
        let rest = input.get(length..).unwrap_or_default();
        match (rest.first(), name.takes_arguments()) {
            (None, _) => incomplete,
            (Some(b' ' | b'\t'), true) => {
                self.parse_arguments(name, length + 1, rest.get(1..).unwrap_or_default(), input)
            }
            (Some(_), true) => Err(ProtocolError::UnknownOperation),
            (Some(_), false) => self.parse_arguments(name, length, rest, input),
        }
    }

    fn parse_arguments<'a>(
        &self,
        name: Name,
        name_len: usize,
        rest: &'a [u8],
        input: &'a [u8],
    ) -> Result<Parsed<'a>, ProtocolError> {
        if matches!(name, Name::Connect | Name::Info | Name::Err) {
            return self.parse_text(name, name_len, rest, input);
        }
        let arguments = match Arguments::split(rest, self.max_control_line) {
            Line::Complete(arguments) => arguments,
            Line::Incomplete => {
                return Ok(Parsed::Incomplete {
                    needed: input.len() + 1,
                });
            }
            Line::TooLong => return Err(ProtocolError::ControlLineTooLong),
        };
        let length = name_len + arguments.line_len;
        let operation = match (name, arguments.words()) {
            (Name::Pub | Name::HPub, words) => return self.parse_publish(name, words, length, input),
            (Name::Sub, [filter, sid]) => Operation::Subscribe {
                filter,
                queue: None,
                sid,
            },
            (Name::Sub, [filter, queue, sid]) => Operation::Subscribe {
                filter,
                queue: Some(queue),
                sid,
            },
            (Name::Unsub, [sid]) => Operation::Unsubscribe { sid, max: None },
            (Name::Unsub, [sid, max]) => Operation::Unsubscribe { sid, max: count(max) },
            (Name::Ping, _) => Operation::Ping,
            (Name::Pong, _) => Operation::Pong,
            (Name::Ok, _) => Operation::Ok,
            (name, _) => return Err(ProtocolError::BadArguments(name.text())),
        };
        Ok(Parsed::Complete { operation, length })
    }

    /// The operations whose argument is the rest of the line, blanks included.
    fn parse_text<'a>(
        &self,
        name: Name,
        name_len: usize,
        rest: &'a [u8],
        input: &'a [u8],
    ) -> Result<Parsed<'a>, ProtocolError> {
        let arguments = match Arguments::split(rest, self.max_control_line) {
            Line::Complete(arguments) => arguments,
            Line::Incomplete => {
                return Ok(Parsed::Incomplete {
                    needed: input.len() + 1,
                });
            }
            Line::TooLong => return Err(ProtocolError::ControlLineTooLong),
        };
        let text = rest.get(..arguments.line_len).unwrap_or_default().trim_ascii();
        if text.is_empty() && name != Name::Err {
            return Err(ProtocolError::BadArguments(name.text()));
        }
        let operation = match name {
            Name::Connect => Operation::Connect(text),
            Name::Info => Operation::Info(text),
            _ => Operation::Error(text),
        };
        Ok(Parsed::Complete {
            operation,
            length: name_len + arguments.line_len,
        })
    }

    fn parse_publish<'a>(
        &self,
        name: Name,
        words: &[&'a [u8]],
        line_len: usize,
        input: &'a [u8],
    ) -> Result<Parsed<'a>, ProtocolError> {
        let bad = ProtocolError::BadArguments(name.text());
        let Some(Heading {
            subject,
            reply,
            header,
            total,
        }) = Heading::of(name, words, self.headers)
        else {
            return Err(bad);
        };
        let (header, total) = (size(header).ok_or(bad)?, size(total).ok_or(bad)?);
        if total > self.max_payload {
            return Err(ProtocolError::PayloadTooLarge { size: total });
        }
        if header > total {
            return Err(bad);
        }
        let end = line_len + total;
        let terminator = input.get(end..).unwrap_or_default();
        let terminator = terminator.get(..LINE_END.len()).unwrap_or(terminator);
        if terminator.len() < LINE_END.len() {
            return match terminator {
                [] | [b'\r'] => Ok(Parsed::Incomplete {
                    needed: self.next_need(input.len(), end),
                }),
                _ => Err(ProtocolError::UnknownOperation),
            };
        }
        if terminator != LINE_END {
            return Err(ProtocolError::UnknownOperation);
        }
        let body = input.get(line_len..end).ok_or(bad)?;
        let (headers, payload) = body.split_at_checked(header).ok_or(bad)?;
        let operation = Operation::Publish(Publish {
            subject,
            reply,
            headers,
            payload,
        });
        Ok(Parsed::Complete {
            operation,
            length: end + LINE_END.len(),
        })
    }

    /// The whole operation, or, when only its line end is missing, any byte of it: the first may already be wrong.
    fn next_need(&self, have: usize, end: usize) -> usize {
        if have < end { end + 1 } else { have + 1 }
    }
}

/// The words of a publish; the header's length is zero if it has none.
struct Heading<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    header: &'a [u8],
    total: &'a [u8],
}

impl<'a> Heading<'a> {
    fn of(name: Name, words: &[&'a [u8]], headers: bool) -> Option<Self> {
        let (subject, reply, header, total) = match (name, words) {
            (Name::Pub, [subject, total]) => (*subject, None, b"0".as_slice(), *total),
            (Name::Pub, [subject, reply, total]) => (*subject, Some(*reply), b"0".as_slice(), *total),
            (Name::HPub, [subject, header, total]) if headers => (*subject, None, *header, *total),
            (Name::HPub, [subject, reply, header, total]) if headers => {
                (*subject, Some(*reply), *header, *total)
            }
            _ => return None,
        };
        Some(Self {
            subject,
            reply,
            header,
            total,
        })
    }
}

#[cfg(test)]
mod tests;
