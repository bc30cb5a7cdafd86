//! The archive: sealed segments of a partition as immutable objects in a bucket, and the manifest that says which there are.
//!
//! ```text
//! <prefix of the URL>/<cluster>/<stream>.<incarnation>/<partition>/
//!     HEAD                                     the manifest's newest part, replaced by compare-and-swap
//!     manifest/<sequence>.<nonce>              older parts, written once
//!     segments/<base>-<end>-<epoch>-<nonce>    the segments, written once
//!     points/<sequence>.<nonce>                states of the manifest that are kept, written once
//! ```
//!
//! What is archived is what the manifest says, nothing else: objects that it does not name are left over from a crash or
//! from a leader that was overtaken, and nothing is ever deleted because something is missing. The steps of a leader are those
//! of [`Archiver`]; readers share a [`PartitionArchive`] with it.

mod archive;
mod archiver;
mod borrow;
mod bucket;
pub mod cat;
pub mod check;
pub mod compaction;
mod cut;
pub mod document;
mod entry;
mod error;
mod head;
mod log;
mod nonce;
mod object;
mod page;
mod place;
mod point;
mod points;
pub mod purge;
mod reads;
#[cfg(test)]
mod records;
pub mod survey;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;

pub use archive::PartitionArchive;
pub use archiver::{Archiver, ArchiverSettings, Expected, Lag, Orphans, Situation, Step};
pub use borrow::{Loan, Means};
pub use bucket::{
    Bucket, BucketError, BucketOptions, Listed, MAX_DOCUMENT_BYTES, Requests, Throttle, Upload, Version,
};
pub use cut::Cut;
pub use entry::Entry;
pub use error::ArchiveError;
pub use head::{Gone, Head, Tombstones, Waiting};
pub use log::TieredLog;
pub use object::{Block, Footer, HEADER_BYTES, TRAILER_BYTES, check_header};
pub use page::{Page, PageRef};
pub use place::Place;
pub use point::{Borrowed, MAX_POINTS, PointRef, is_free_point_name, is_point_name, lent_points};
pub use points::{Base, PointError, Points};
pub use reads::{ArchiveReads, DiskSettings, ReadCounts, ReadNumbers, ReadSettings};
pub use view::{Found, Totals, View};
