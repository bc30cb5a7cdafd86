//! Messages ready for the socket: nothing is encoded while a server is measured.

use bytes::{Bytes, BytesMut};

/// One message as it goes over the wire, with its frame.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    /// Where in the bytes the value begins.
    pub(crate) value_at: usize,
}

/// The messages that a publisher sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages<'a> {
    pub(crate) stream: &'a str,
    /// They go to each in turn.
    pub(crate) partitions: u32,
    pub(crate) value: &'a [u8],
    /// Number of different headers that they have for filters; 0 = they have none.
    pub(crate) tenths: u32,
}

impl<'a> Messages<'a> {
    /// Those of a stream with one partition, without headers.
    pub(crate) fn plain(stream: &'a str, value: &'a [u8]) -> Self {
        Self {
            stream,
            partitions: 1,
            value,
            tenths: 0,
        }
    }
}

/// A run of messages that is sent again and again, in slices of any length.
#[derive(Clone, Debug)]
pub(crate) struct Burst {
    bytes: Bytes,
    /// Where each message begins, and the end.
    borders: Vec<usize>,
    next: usize,
}

impl Burst {
    /// So many messages, made from the templates in turn. There has to be a template, and a message.
    pub(crate) fn new(templates: &[Template], messages: usize) -> Self {
        let mut bytes = BytesMut::new();
        let mut borders = vec![0];
        for template in templates.iter().cycle().take(messages) {
            bytes.extend_from_slice(&template.bytes);
            borders.push(bytes.len());
        }
        Self {
            bytes: bytes.freeze(),
            borders,
            next: 0,
        }
    }

    /// The next messages, at most `wanted`: fewer where the run begins anew.
    pub(crate) fn take(&mut self, wanted: u64) -> (Bytes, u64) {
        let messages = self.borders.len() - 1;
        let left = messages - self.next;
        let count = usize::try_from(wanted).unwrap_or(usize::MAX).min(left);
        let range = self.borders[self.next]..self.borders[self.next + count];
        self.next = (self.next + count) % messages;
        (self.bytes.slice(range), count as u64)
    }
}

impl Template {
    /// Appends the message with these bytes at the begin of its value.
    pub(crate) fn put_stamped(&self, out: &mut BytesMut, stamp: &[u8]) {
        let start = out.len() + self.value_at;
        out.extend_from_slice(&self.bytes);
        if let Some(place) = out.get_mut(start..start + stamp.len()) {
            place.copy_from_slice(stamp);
        }
    }
}

/// A value that does not compress.
pub(crate) fn random_value(bytes: usize) -> Vec<u8> {
    let mut value = vec![0; bytes];
    // Without randomness the value is zeros, which no server of the benchmark treats otherwise.
    let _ = getrandom::fill(&mut value);
    value
}

/// A value of this length that is a JSON object, for filters that look into it. Ends with what does not compress, in hex.
pub(crate) fn json_value(bytes: usize) -> Vec<u8> {
    let head = br#"{"order":{"id":4711,"amount":250.5},"level":"info","region":"eu","note":""#;
    let tail = br#""}"#;
    let Some(room) = bytes.checked_sub(head.len() + tail.len()) else {
        return random_value(bytes);
    };
    let digits = random_value(room)
        .into_iter()
        .map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]);
    head.iter()
        .copied()
        .chain(digits)
        .chain(tail.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(bytes: &[u8]) -> Template {
        Template {
            bytes: bytes.to_vec(),
            value_at: 1,
        }
    }

    #[test]
    fn a_burst_goes_round_and_is_cut_at_messages_only() {
        let mut burst = Burst::new(&[template(b"aa"), template(b"bbb")], 3);
        assert_eq!(burst.take(2), (Bytes::from_static(b"aabbb"), 2));
        assert_eq!(burst.take(5), (Bytes::from_static(b"aa"), 1));
        assert_eq!(burst.take(1), (Bytes::from_static(b"aa"), 1));
    }

    #[test]
    fn a_value_for_filters_is_json_of_the_length_that_is_asked_for() {
        for bytes in [100, 254, 4096] {
            let value = json_value(bytes);
            assert_eq!(value.len(), bytes);
            let read: serde_json::Value = serde_json::from_slice(&value).unwrap();
            assert_eq!(read["level"], "info");
        }
        assert_eq!(json_value(8).len(), 8);
    }

    #[test]
    fn a_stamp_lies_at_the_begin_of_the_value() {
        let mut out = BytesMut::from("x");
        template(b"<....>").put_stamped(&mut out, b"12");
        assert_eq!(&out[..], b"x<12..>");
    }
}
