//! A message's headers where they lie.

use super::scan::{ScanError, Scanner, Value};

/// The headers of a message, read anew each time they are walked. Of a key that comes twice the last counts.
#[derive(Clone, Copy, Debug)]
pub enum HeadersRef<'a> {
    /// Map entries in an encoded message that was checked.
    Encoded {
        /// The message.
        message: &'a [u8],
        /// Number of the map's field.
        field: u32,
        /// Number of entries.
        count: usize,
        /// Bytes of keys and values.
        bytes: usize,
    },
    /// Pairs in memory.
    Pairs(&'a [(&'a str, &'a [u8])]),
}

impl<'a> HeadersRef<'a> {
    /// No headers.
    pub const EMPTY: Self = Self::Pairs(&[]);

    /// Number of headers.
    pub fn len(&self) -> usize {
        match self {
            Self::Encoded { count, .. } => *count,
            Self::Pairs(pairs) => pairs.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Encoded { bytes, .. } => *bytes,
            Self::Pairs(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
        }
    }

    /// Keys and values in order.
    pub fn iter(&self) -> HeaderPairs<'a> {
        match *self {
            Self::Encoded {
                message,
                field,
                count,
                ..
            } => {
                let rest = if count == 0 { &[] } else { message };
                HeaderPairs {
                    encoded: Scanner::new(rest),
                    field,
                    pairs: &[],
                }
            }
            Self::Pairs(pairs) => HeaderPairs {
                encoded: Scanner::new(&[]),
                field: 0,
                pairs,
            },
        }
    }
}

/// Walks over headers.
#[derive(Clone, Debug)]
pub struct HeaderPairs<'a> {
    encoded: Scanner<'a>,
    field: u32,
    pairs: &'a [(&'a str, &'a [u8])],
}

impl<'a> Iterator for HeaderPairs<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((first, rest)) = self.pairs.split_first() {
            self.pairs = rest;
            return Some(*first);
        }
        while let Ok(Some((field, value))) = self.encoded.next_field() {
            if field == self.field
                && let Value::Bytes(entry) = value
            {
                return header(entry, field).ok();
            }
        }
        None
    }
}

/// Reads one map entry.
pub(super) fn header(entry: &[u8], field: u32) -> Result<(&str, &[u8]), ScanError> {
    let (mut key, mut value): (&str, &[u8]) = ("", &[]);
    let mut scanner = Scanner::new(entry);
    while let Some((part, bytes)) = scanner.next_field()? {
        match part {
            1 => key = bytes.text(field)?,
            2 => value = bytes.bytes(field)?,
            _ => {}
        }
    }
    Ok((key, value))
}
