//! Parts of files in readable form.

use strandline_core::record::{Batch, BatchHeader};

/// A part of a file in readable form.
#[derive(Debug)]
pub struct Piece<'a> {
    /// What it is: `state`, `batch`, `mark`, `entry` and the like; `damage` where there is nothing to read.
    pub kind: &'static str,
    /// Where in the file, if it is a part of one.
    pub position: Option<u64>,
    /// What it says.
    pub fields: Vec<(&'static str, Field)>,
    /// The batch that it is.
    pub batch: Option<&'a Batch>,
}

/// What a part of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// An offset, a number or a length in bytes.
    Number(u64),
    /// A time in nanoseconds since the Unix epoch.
    Time(i64),
    /// Anything else.
    Text(String),
}

impl Piece<'_> {
    /// Without a batch.
    pub(crate) fn new(kind: &'static str, position: Option<u64>, fields: Vec<(&'static str, Field)>) -> Self {
        Self {
            kind,
            position,
            fields,
            batch: None,
        }
    }

    /// A batch whose checksum is right.
    pub(crate) fn of_batch(position: Option<u64>, batch: &Batch) -> Piece<'_> {
        Piece {
            batch: Some(batch),
            ..Piece::new("batch", position, header_fields(batch.header()))
        }
    }
}

/// What a header says.
pub(crate) fn header_fields(header: &BatchHeader) -> Vec<(&'static str, Field)> {
    let mut fields = vec![
        ("offset", Field::Number(header.base.get())),
        ("last_offset", Field::Number(header.last.get())),
        ("records", Field::Number(u64::from(header.records))),
        ("bytes", Field::Number(u64::from(header.bytes))),
        ("epoch", Field::Number(header.epoch.get())),
        ("first_time", Field::Time(header.first_time.nanos())),
        ("last_time", Field::Time(header.last_time.nanos())),
        ("codec", Field::Text(header.codec.to_string())),
    ];
    if let Some(encryption) = header.encryption {
        fields.push(("key", Field::Number(u64::from(encryption.key.get()))));
    }
    fields
}
