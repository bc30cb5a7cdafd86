//! Gives the space that a store does not use back to the disk. Off-line: nothing else uses the store meanwhile.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;

use super::RedbFactory;
use super::database::DATABASE_FILE;
use super::store::RedbStore;
use crate::files::failed;

/// What a compaction did to the file of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Length of the file before, in bytes.
    pub before: u64,
    /// Length of the file now.
    pub after: u64,
}

/// Makes the database file of the store in `directory` as small as it can be; none if there is no such store. The file is
/// whole at every moment: an interrupted compaction can be repeated.
///
/// # Errors
///
/// As [`Factory::open`](strandline_core::storage::Factory::open); or the disk failed.
pub fn compact_redb(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Option<Compacted>, StorageError> {
    let path = directory.join(DATABASE_FILE);
    let file = match disk.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed("opening", &path))?,
    };
    let length = || file.len().map_err(failed("measuring", &path));
    let before = length()?;
    let store = RedbStore::open(Arc::clone(disk), directory, RedbFactory::new().limits)?;
    store.compact()?;
    drop(store);
    Ok(Some(Compacted {
        before,
        after: length()?,
    }))
}
