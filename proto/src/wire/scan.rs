//! The fields of a protobuf message, one after another.

use super::varint::read_varint;

/// How deep unknown groups may nest; the generated decoders count the same way.
const MAX_DEPTH: u32 = 100;

const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The bytes end inside a field, or a number is longer than 64 bits.
    #[error("message ends inside a field or has a number longer than 64 bits")]
    Truncated,
    /// A field number or wire type that protobuf does not allow.
    #[error("message has an invalid field key")]
    InvalidKey,
    /// A known field has another type than it should.
    #[error("field {field} has the wrong wire type")]
    WrongType {
        /// Number of the field.
        field: u32,
    },
    /// A text is not UTF-8.
    #[error("field {field} is not valid utf-8")]
    NotUtf8 {
        /// Number of the field.
        field: u32,
    },
    /// A group ends that is not the one last begun.
    #[error("group {field} ends but was not begun")]
    GroupEnd {
        /// Number of the group.
        field: u32,
    },
    /// Unknown groups nest too deep.
    #[error("groups are nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A type that none of our messages uses.
    Other,
}

/// Walks over the fields of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    rest: &'a [u8],
    /// How deep groups may still nest.
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            depth: MAX_DEPTH,
        }
    }

    /// For a message within a message, which counts as one level.
    pub(super) fn nested(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            depth: MAX_DEPTH - 1,
        }
    }

    /// Bytes that are left.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field, none at the end of the message.
    #[inline]
    pub(super) fn next_field(&mut self) -> Result<Option<(u32, Value<'a>)>, ScanError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (field, wire_type) = self.key()?;
        self.value(field, wire_type, self.depth)
            .map(|value| Some((field, value)))
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u64), ScanError> {
        let key = self.number()?;
        match u32::try_from(key) {
            Ok(narrow) if narrow >= 8 => Ok((narrow >> 3, key & 7)),
            _ => Err(ScanError::InvalidKey),
        }
    }

    #[inline]
    fn value(&mut self, field: u32, wire_type: u64, depth: u32) -> Result<Value<'a>, ScanError> {
        match wire_type {
            0 => self.number().map(Value::Number),
            1 => self.skip(8),
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| ScanError::Truncated)?;
                self.take(length).map(Value::Bytes)
            }
            START_GROUP => self.group(field, depth),
            END_GROUP => Err(ScanError::GroupEnd { field }),
            5 => self.skip(4),
            _ => Err(ScanError::InvalidKey),
        }
    }

    /// Groups were given up before proto3, but an unknown field may be one, and unknown fields are passed.
    #[cold]
    fn group(&mut self, group: u32, depth: u32) -> Result<Value<'a>, ScanError> {
        loop {
            let (field, wire_type) = self.key()?;
            if wire_type == END_GROUP {
                return if field == group {
                    Ok(Value::Other)
                } else {
                    Err(ScanError::GroupEnd { field })
                };
            }
            let depth = depth
                .checked_sub(1)
                .filter(|&depth| depth > 0)
                .ok_or(ScanError::TooDeep)?;
            self.value(field, wire_type, depth)?;
        }
    }

    #[inline]
    fn number(&mut self) -> Result<u64, ScanError> {
        let (value, used) = read_varint(self.rest).ok_or(ScanError::Truncated)?;
        self.rest = self.rest.get(used..).ok_or(ScanError::Truncated)?;
        Ok(value)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], ScanError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ScanError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<Value<'a>, ScanError> {
        self.take(length).map(|_| Value::Other)
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self, field: u32) -> Result<&'a [u8], ScanError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ScanError::WrongType { field }),
        }
    }

    pub(super) fn text(self, field: u32) -> Result<&'a str, ScanError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| ScanError::NotUtf8 { field })
    }

    pub(super) fn number(self, field: u32) -> Result<u64, ScanError> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(ScanError::WrongType { field }),
        }
    }
}
