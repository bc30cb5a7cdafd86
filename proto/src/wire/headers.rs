//! The user headers of a message, wherever they lie.

use std::collections::HashMap;

use super::scan::{ScanError, Scanner, Value};

/// Up to so many headers, duplicates are found by comparing; beyond, with the help of a table.
const COMPARED_MAX: usize = 16;

const ENTRY_NAME: u32 = 1;
const ENTRY_VALUE: u32 = 2;

/// The user headers of a message: a map from text to bytes.
#[derive(Clone, Copy, Debug)]
pub enum HeadersRef<'a> {
    /// Name and value of each; names are distinct.
    Pairs(&'a [(&'a str, &'a [u8])]),
    /// As they lie in an encoded message.
    Encoded(EncodedHeaders<'a>),
}

impl<'a> HeadersRef<'a> {
    /// No headers.
    pub const EMPTY: Self = Self::Pairs(&[]);

    /// The headers in their order. Of a name that comes several times only the last is given, as in a map.
    ///
    /// Allocates only for a message with many headers.
    pub fn iter(&self) -> HeaderIter<'a> {
        match *self {
            Self::Pairs(pairs) => HeaderIter(Source::Pairs(pairs.iter())),
            Self::Encoded(headers) => HeaderIter(Source::Encoded(headers.unique())),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of headers; a name that comes several times counts each time.
    pub fn len(&self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs.len(),
            Self::Encoded(headers) => headers.count,
        }
    }

    /// Bytes of all names and values; a name that comes several times counts each time.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs.iter().map(|(name, value)| name.len() + value.len()).sum(),
            Self::Encoded(headers) => headers.bytes,
        }
    }
}

impl<'a> IntoIterator for &HeadersRef<'a> {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// The headers of a message, see [`HeadersRef::iter`].
#[derive(Clone, Debug)]
pub struct HeaderIter<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Pairs(std::slice::Iter<'a, (&'a str, &'a [u8])>),
    Encoded(Unique<'a>),
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Pairs(pairs) => pairs.next().copied(),
            Source::Encoded(unique) => unique.next(),
        }
    }
}

/// Headers within an encoded message that has been checked.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeaders<'a> {
    /// The message up to the end of its last header; other fields may lie between.
    span: &'a [u8],
    field: u32,
    count: usize,
    bytes: usize,
}

impl<'a> EncodedHeaders<'a> {
    /// All entries in order, duplicates included.
    fn entries(self) -> Entries<'a> {
        Entries {
            rest: Scanner::new(self.span),
            field: self.field,
        }
    }

    fn unique(self) -> Unique<'a> {
        let last_of = (self.count > COMPARED_MAX).then(|| {
            self.entries()
                .enumerate()
                .map(|(index, (name, _))| (name, index))
                .collect()
        });
        Unique {
            entries: self.entries(),
            index: 0,
            last_of,
        }
    }
}

#[derive(Clone, Debug)]
struct Unique<'a> {
    entries: Entries<'a>,
    /// Number of the next entry.
    index: usize,
    /// Number of the last entry of each name, when there are many.
    last_of: Option<HashMap<&'a str, usize>>,
}

impl<'a> Iterator for Unique<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, value) = self.entries.next()?;
            let index = self.index;
            self.index += 1;
            let is_last = match &self.last_of {
                Some(last_of) => last_of.get(name) == Some(&index),
                None => !self.entries.clone().any(|(later, _)| later == name),
            };
            if is_last {
                return Some((name, value));
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Entries<'a> {
    rest: Scanner<'a>,
    field: u32,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // The message was checked as a whole, so there is no error to come.
        while let Ok(Some((field, value))) = self.rest.next_field() {
            if field == self.field
                && let Value::Bytes(bytes) = value
            {
                return entry(bytes).ok();
            }
        }
        None
    }
}

fn entry(bytes: &[u8]) -> Result<(&str, &[u8]), ScanError> {
    let (mut name, mut content) = ("", &[][..]);
    let mut scanner = Scanner::nested(bytes);
    while let Some((field, value)) = scanner.next_field()? {
        match field {
            ENTRY_NAME => name = value.text(field)?,
            ENTRY_VALUE => content = value.bytes(field)?,
            _ => {}
        }
    }
    Ok((name, content))
}

/// Finds the headers of a message while a scanner walks over it.
#[derive(Debug)]
pub(super) struct HeaderScan<'a> {
    message: &'a [u8],
    field: u32,
    /// Where the latest header ends.
    end: usize,
    count: usize,
    bytes: usize,
}

impl<'a> HeaderScan<'a> {
    /// For the headers in this field of `message`.
    pub(super) fn new(message: &'a [u8], field: u32) -> Self {
        Self {
            message,
            field,
            end: 0,
            count: 0,
            bytes: 0,
        }
    }

    /// Checks a header, behind which so many bytes of the message remain.
    pub(super) fn add(&mut self, value: Value<'a>, remaining: usize) -> Result<(), ScanError> {
        let (name, content) = entry(value.bytes(self.field)?)?;
        self.end = self.message.len() - remaining;
        self.count += 1;
        self.bytes += name.len() + content.len();
        Ok(())
    }

    /// The headers found.
    pub(super) fn finish(self) -> HeadersRef<'a> {
        HeadersRef::Encoded(EncodedHeaders {
            span: self.message.get(..self.end).unwrap_or_default(),
            field: self.field,
            count: self.count,
            bytes: self.bytes,
        })
    }
}
