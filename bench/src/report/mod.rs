//! What comes out.

mod archive;
mod row;
mod table;
pub(crate) mod units;

pub use archive::{ArchiveRow, Beside, Bound, Unit};
pub use row::Row;

use serde::Serialize;

use crate::limits::Limits;

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Bytes of a message's value.
    pub value_bytes: usize,
    /// What the machine could do; none when it was not measured.
    pub limits: Option<Limits>,
    /// Works and servers, in the order of the works.
    pub rows: Vec<Row>,
    /// What was measured of the archive.
    pub archive: Vec<ArchiveRow>,
}
