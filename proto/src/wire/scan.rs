//! The fields of a protobuf message, one after another.

use super::varint::read_varint;

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The bytes end inside a field, or a number is too long.
    #[error("message ends inside a field")]
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
}

impl<'a> Scanner<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field, none at the end of the message.
    pub(super) fn next_field(&mut self) -> Result<Option<(u32, Value<'a>)>, ScanError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.number()?;
        let field = u32::try_from(key >> 3)
            .ok()
            .filter(|&field| field > 0 && key <= u64::from(u32::MAX));
        let field = field.ok_or(ScanError::InvalidKey)?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| ScanError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.skip(4)?,
            // Groups were given up before proto3; no client of this API sends them.
            _ => return Err(ScanError::InvalidKey),
        };
        Ok(Some((field, value)))
    }

    fn number(&mut self) -> Result<u64, ScanError> {
        let (value, used) = read_varint(self.rest).ok_or(ScanError::Truncated)?;
        self.rest = self.rest.get(used..).ok_or(ScanError::Truncated)?;
        Ok(value)
    }

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
