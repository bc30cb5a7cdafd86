//! What a plugin sees of a record.

use std::str;

use crate::json;
use crate::needs::Needs;

/// A record, borrowed from the batch that it came in.
///
/// Only what the plugin needs is there: an attribute `filter(needs(subject, headers))` leaves out key and value. In
/// debug builds, so in tests, looking at a part that is not needed panics and says so; in a release build the part is
/// empty.
#[derive(Clone, Copy, Debug)]
pub struct Record<'b> {
    pub(crate) key: Option<&'b [u8]>,
    pub(crate) subject: &'b [u8],
    pub(crate) headers: &'b [u8],
    pub(crate) value: &'b [u8],
    pub(crate) value_len: u32,
    pub(crate) needs: &'b Needs,
}

impl<'b> Record<'b> {
    /// The key, if the record has one. It may be empty all the same.
    #[inline]
    pub fn key(&self) -> Option<&'b [u8]> {
        self.expect_needed(self.needs.key, "key");
        self.key
    }

    /// Whether the record has a key. Always told.
    #[inline]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The NATS subject that the message arrived on.
    #[inline]
    pub fn subject(&self) -> &'b str {
        self.expect_needed(self.needs.subject, "subject");
        // A host gives no subject that is not UTF-8.
        str::from_utf8(self.subject).unwrap_or_default()
    }

    /// The tokens of the subject: `orders`, `eu`, `new` of `orders.eu.new`.
    #[inline]
    pub fn tokens(&self) -> str::Split<'b, char> {
        self.subject().split('.')
    }

    /// One token of the subject, counted from 0.
    #[inline]
    pub fn token(&self, index: usize) -> Option<&'b str> {
        self.tokens().nth(index)
    }

    /// The headers, in the order in which they were sent.
    #[inline]
    pub fn headers(&self) -> Headers<'b> {
        self.expect_needed(self.needs.headers, "headers");
        Headers { rest: self.headers }
    }

    /// The value of the first header of that name. Case matters in names, as it does to NATS.
    #[inline]
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers()
            .find(|header| header.name_bytes == name.as_bytes())
            .map(|header| header.value)
    }

    /// As [`Self::header`], where that is text.
    #[inline]
    pub fn header_text(&self, name: &str) -> Option<&'b str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The value, or as much of its start as `needs(value(prefix = BYTES))` asks for.
    #[inline]
    pub fn value(&self) -> &'b [u8] {
        self.expect_needed(self.needs.value != crate::ValueNeed::None, "value");
        self.value
    }

    /// The value where it is text.
    #[inline]
    pub fn text(&self) -> Option<&'b str> {
        str::from_utf8(self.value()).ok()
    }

    /// The value as JSON, of which nothing is read before a field is asked for.
    #[inline]
    pub fn json(&self) -> json::Value<'b> {
        json::Value::new(self.value())
    }

    /// How long the whole value is, in bytes, whatever the plugin needs of it.
    #[inline]
    pub fn value_len(&self) -> usize {
        self.value_len as usize
    }

    #[inline]
    fn expect_needed(&self, needed: bool, part: &str) {
        debug_assert!(
            needed,
            "the plugin reads the {part} of a record but does not need it: add it to the attribute, as in needs({part})"
        );
    }
}

/// A header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'b> {
    name_bytes: &'b [u8],
    /// Its value: any bytes.
    pub value: &'b [u8],
}

impl<'b> Header<'b> {
    /// Its name.
    #[inline]
    pub fn name(&self) -> &'b str {
        // A host gives no name that is not UTF-8.
        str::from_utf8(self.name_bytes).unwrap_or_default()
    }

    /// Its value, where that is text.
    #[inline]
    pub fn text(&self) -> Option<&'b str> {
        str::from_utf8(self.value).ok()
    }
}

/// The headers of a record, in order.
#[derive(Clone, Debug)]
pub struct Headers<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Headers<'b> {
    type Item = Header<'b>;

    #[inline]
    fn next(&mut self) -> Option<Header<'b>> {
        let (name_len, rest) = self.rest.split_first_chunk()?;
        let (value_len, rest) = rest.split_first_chunk()?;
        let (name_bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*name_len) as usize)?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
        self.rest = rest;
        Some(Header { name_bytes, value })
    }
}
