//! Memory for the page cache.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// About what a work of some seconds writes.
const BYTES: usize = 2 << 30;
const BLOCK_BYTES: usize = 4 << 20;

/// Fills the page cache and gives it back at once, without waiting for the disk.
///
/// A broker that has run for a while writes into memory that the machine has in use; a virtual machine that is new, or idle,
/// has to ask its host for each page, which can cost several times as much as writing it. That is no property of a server,
/// and would be charged to whichever comes first.
pub(crate) fn page_cache(directory: &Path) -> io::Result<()> {
    let path = directory.join("warm");
    let mut file = File::create(&path)?;
    let block = vec![0x5a; BLOCK_BYTES];
    let mut left = available(directory)?.min(BYTES);
    while left >= BLOCK_BYTES {
        file.write_all(&block)?;
        left -= BLOCK_BYTES;
    }
    drop(file);
    std::fs::remove_file(path)
}

/// A quarter of what the file system has room for.
fn available(directory: &Path) -> io::Result<usize> {
    let stat = rustix::fs::statvfs(directory)?;
    let bytes = stat.f_bavail.saturating_mul(stat.f_frsize) / 4;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}
