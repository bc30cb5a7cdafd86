//! Readers of files for the fuzz targets, which are a workspace of their own.

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;

/// Reads each file of a metadata directory as a start does; says of each, identity, snapshot and log, why not.
pub fn read_metadata(disk: impl Disk + 'static, dir: &Path) -> [Option<String>; 3] {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    crate::metadata::read_files(&disk, dir).map(|read| read.err().map(|error| error.to_string()))
}
