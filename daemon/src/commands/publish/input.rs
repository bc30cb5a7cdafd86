//! The messages of `strandline publish`: arguments, lines, or one whole input.

use std::io::{self, BufRead, Read};

/// Longest line and largest input; no broker takes larger messages.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Messages, one after another; the input is read as they are asked for.
#[derive(Debug)]
pub(crate) enum Messages<R> {
    /// The arguments of the command, last one first.
    Arguments(Vec<String>),
    /// Each line is a message.
    Lines(R),
    /// The whole input is one message; none once it has been given.
    Whole(Option<R>),
}

impl<R: BufRead> Messages<R> {
    /// Messages from arguments.
    pub(crate) fn arguments(mut arguments: Vec<String>) -> Self {
        arguments.reverse();
        Self::Arguments(arguments)
    }

    /// The next message; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Arguments(arguments) => Ok(arguments.pop().map(String::into_bytes)),
            Self::Lines(input) => line(input),
            Self::Whole(input) => input.take().map(whole).transpose(),
        }
    }
}

/// A line without its end, which may be `\n` or `\r\n`. The last one needs none.
fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = input
        .take(MAX_MESSAGE_BYTES as u64 + 2)
        .read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() > MAX_MESSAGE_BYTES {
        Err(too_large("a line"))
    } else {
        Ok(Some(line))
    }
}

fn whole(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        Err(too_large("the input"))
    } else {
        Ok(bytes)
    }
}

fn too_large(what: &str) -> io::Error {
    io::Error::other(format!(
        "{what} is larger than any message may be: {MAX_MESSAGE_BYTES} bytes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut messages: Messages<&[u8]>) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| messages.next().unwrap()).collect()
    }

    #[test]
    fn arguments_come_in_order() {
        assert_eq!(
            all(Messages::arguments(vec!["a".to_owned(), "b".to_owned()])),
            [b"a", b"b"]
        );
    }

    #[test]
    fn each_line_is_a_message_whatever_ends_it() {
        let lines: [&[u8]; 4] = [b"a", b"", b"b\rc", b"\xff"];
        assert_eq!(all(Messages::Lines(b"a\n\r\nb\rc\r\n\xff".as_slice())), lines);
        assert!(all(Messages::Lines(b"".as_slice())).is_empty());
    }

    #[test]
    fn the_whole_input_is_one_message_even_if_it_is_empty() {
        assert_eq!(all(Messages::Whole(Some(b"a\nb\n".as_slice()))), [b"a\nb\n"]);
        assert_eq!(all(Messages::Whole(Some(b"".as_slice()))), [b""]);
    }

    #[test]
    fn an_endless_line_is_refused_without_reading_it_all() {
        let mut messages = Messages::Lines(io::BufReader::new(io::repeat(b'x')));
        assert!(messages.next().is_err());
        let mut messages = Messages::Whole(Some(io::BufReader::new(io::repeat(b'x'))));
        assert!(messages.next().is_err());
    }
}
