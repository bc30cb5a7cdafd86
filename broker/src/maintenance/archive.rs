//! Looking at the bucket of an archive, whether a broker uses it or not.

use std::sync::Arc;

pub use super::archive_cat::{CatError, CatSource};
pub use strandline_storage_backends::tiered::cat::{CatFrom, CatTaker};
pub use strandline_storage_backends::tiered::check::{Failed, Finding as Tried, Report as Tries, probe};
pub use strandline_storage_backends::tiered::purge::Contents;
pub use strandline_storage_backends::tiered::survey::{Depth, Summary, Survey, Witness};
pub use strandline_storage_backends::tiered::{ArchiveError, Bucket, BucketError, Place};

mod purge;

pub use purge::{Doomed, PurgeError, Uses, plan_purge, purge, uses};

use crate::archiving::bucket_options;
use crate::settings::ArchiveTarget;

/// The bucket as a broker with this target would use it. Nothing is asked of it yet.
///
/// # Errors
///
/// Says what is wrong with the target.
pub fn open_archive(target: &ArchiveTarget) -> Result<Survey, BucketError> {
    let bucket = Bucket::open(&target.url, &bucket_options(target))?;
    Ok(Survey::new(Arc::new(bucket)))
}
