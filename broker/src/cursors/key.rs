//! Whose position a cursor is, and the record that holds it.

use prost::Message as _;

use strandline_core::StreamName;
use strandline_core::record::crc32;

/// Identity of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CursorKey {
    stream: String,
    partition: i32,
    id: String,
}

/// Why there can be no such cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidKey {
    /// There is no stream.
    #[error("No stream provided")]
    NoStream,
    /// There is no id.
    #[error("No cursorId provided")]
    NoId,
    /// The stream's name is longer than that of any.
    #[error("stream is longer than {max} bytes", max = StreamName::MAX_BYTES)]
    LongStream,
    /// The id is over the limit.
    #[error("cursorId is longer than {max} bytes", max = CursorKey::MAX_ID_BYTES)]
    LongId,
}

/// The value of a record. Its fields are Liftbridge's.
#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(string, tag = "1")]
    stream: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(string, tag = "3")]
    cursor_id: String,
    #[prost(int64, tag = "4")]
    offset: i64,
}

impl CursorKey {
    /// Longest id, in bytes.
    pub(crate) const MAX_ID_BYTES: usize = 1024;

    /// A key. Whether the stream and the partition exist does not matter.
    ///
    /// # Errors
    ///
    /// A part is missing or too long.
    pub(crate) fn new(stream: String, partition: i32, id: String) -> Result<Self, InvalidKey> {
        if stream.is_empty() {
            return Err(InvalidKey::NoStream);
        }
        if id.is_empty() {
            return Err(InvalidKey::NoId);
        }
        if stream.len() > StreamName::MAX_BYTES {
            return Err(InvalidKey::LongStream);
        }
        if id.len() > Self::MAX_ID_BYTES {
            return Err(InvalidKey::LongId);
        }
        Ok(Self {
            stream,
            partition,
            id,
        })
    }

    /// The stream whose position it is.
    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// The partition of that stream.
    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// What its consumer calls it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The partition of `__cursors` that holds it, of so many. Clients compute the same.
    pub(super) fn partition_of(&self, partitions: usize) -> i32 {
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
        let number = crc32(self.text().as_bytes()) % partitions;
        i32::try_from(number).unwrap_or(0)
    }

    /// The key of its records. Liftbridge's, but where commas in the stream's name or the id would make two cursors share
    /// one: there the length of the id follows.
    pub(super) fn record_key(&self) -> Vec<u8> {
        let mut text = self.text();
        if self.id.contains(',') || self.stream.contains(',') {
            text = format!("{text},{}", self.id.len());
        }
        text.into_bytes()
    }

    /// The value of the record that stores this position.
    pub(super) fn record_value(&self, position: i64) -> Vec<u8> {
        let value = Value {
            stream: self.stream.clone(),
            partition: self.partition,
            cursor_id: self.id.clone(),
            offset: position,
        };
        value.encode_to_vec()
    }

    fn text(&self) -> String {
        format!("{},{},{}", self.id, self.stream, self.partition)
    }
}

/// The position that a record's value holds; none for a value that is none of ours.
pub(super) fn position_of(value: &[u8]) -> Option<i64> {
    let value = Value::decode(value).ok()?;
    (!value.cursor_id.is_empty()).then_some(value.offset)
}

/// The cursor and its position that a record's value holds; none for a value that is none of ours.
pub(crate) fn stored_cursor(value: &[u8]) -> Option<(CursorKey, i64)> {
    let value = Value::decode(value).ok()?;
    let key = CursorKey::new(value.stream, value.partition, value.cursor_id).ok()?;
    Some((key, value.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, stream: &str, partition: i32) -> CursorKey {
        CursorKey::new(stream.to_owned(), partition, id.to_owned()).unwrap()
    }

    /// Vectors of a real Liftbridge.
    #[test]
    fn a_cursor_lies_where_clients_look_for_it() {
        let cases = [
            (key("abc", "foo", 2), [1, 2, 7]),
            (key("pos", "test_pubsub4", 0), [0, 2, 7]),
            (key("__group:my-group", "foo", 0), [2, 3, 3]),
        ];
        for (key, expected) in cases {
            assert_eq!(
                [3, 5, 10].map(|count| key.partition_of(count)),
                expected,
                "{key:?}"
            );
            assert_eq!((key.partition_of(1), key.partition_of(0)), (0, 0));
        }
    }

    #[test]
    fn no_two_cursors_share_a_key() {
        assert_eq!(key("abc", "foo", 2).record_key(), b"abc,foo,2");
        let alike = [
            key("a,b", "c", 0),
            key("a", "b,c", 0),
            key("a", "b", 0),
            key("a,b", "c,0", 3),
            key("a", "b,c,0", 3),
            key("a,b,c", "0", 3),
        ];
        for (index, one) in alike.iter().enumerate() {
            for other in &alike[index + 1..] {
                assert_ne!(one.record_key(), other.record_key(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_position_comes_back_from_its_record() {
        for position in [0, -1, 5, i64::MAX, i64::MIN] {
            assert_eq!(
                position_of(&key("a", "b", 0).record_value(position)),
                Some(position)
            );
        }
        assert_eq!(position_of(b""), None);
        assert_eq!(position_of(b"\xff\xff"), None);
    }

    #[test]
    fn what_is_missing_or_too_long_is_refused() {
        let new = |stream: &str, id: &str| CursorKey::new(stream.to_owned(), 0, id.to_owned());
        assert_eq!(new("", "a"), Err(InvalidKey::NoStream));
        assert_eq!(new("a", ""), Err(InvalidKey::NoId));
        assert_eq!(new("a", &"x".repeat(1025)), Err(InvalidKey::LongId));
        assert_eq!(new(&"x".repeat(256), "a"), Err(InvalidKey::LongStream));
    }
}
