//! Blocks with checksums, below redb, which looks at its own checksums only when it repairs.
//!
//! ```text
//! file    groups, one after another
//! group   sums, then 1024 blocks (the last group has as many as there are)
//! sums    4096 bytes: for each block of the group a u32, CRC-32C of the block, xor the number of the block
//! block   4096 bytes, as redb wrote them; block 0 is other
//! block 0 two copies of the header of redb, then zeroes
//! copy      0  the header, then zeroes
//!         500  u64  number of the write, which is in the copy of its last bit; the greater one counts
//!         508  u32  CRC-32C of bytes 0..508
//! ```
//!
//! Numbers are little-endian. redb writes its header in place, so that one copy is whole whatever becomes of a write; all
//! other blocks it writes where nothing is that counts.

mod layout;
mod sums;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use strandline_core::record::crc32c;

use super::backend::Backend;
use layout::{BLOCK, BLOCK_BYTES, GROUP, length_for, not_whole_blocks, place_of, runs, sum_of};
use sums::Sums;

/// Bytes of a copy of the header of redb, and where in it stand its number and its checksum.
const COPY_BYTES: usize = 512;
const NUMBER_AT: usize = 500;
const COPY_SUM_AT: usize = 508;
/// Where redb's header says how the last process ended and how the last transaction was written.
const STATE_AT: usize = 9;
const IS_UNCLEAN: u8 = 2;
const IS_TWO_PHASE: u8 = 4;
/// What redb gets for a block that is damaged: no page of it begins like this, so that it gives up there and nowhere else.
const NO_PAGE: u8 = 0xff;

/// The blocks of a database as redb sees them. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: Backend,
    /// Number of the last write of the header.
    last_header: Mutex<u64>,
    sums: Sums,
    /// Where in the file the damage is that was found last.
    damage: Mutex<Option<u64>>,
    repair: Mutex<Option<Repair>>,
}

/// Opening after a crash, while redb looks at all pages by checksums of its own.
///
/// The last transaction may be on the disk in part: pages without their sums, or sums without their pages. redb finds out which
/// pages count; their blocks get new sums before redb says in its header that all is well.
#[derive(Debug, Default)]
struct Repair {
    mismatched: BTreeSet<u64>,
}

impl Blocks {
    /// The blocks of a file, new if that is empty.
    ///
    /// # Errors
    ///
    /// The header is damaged, which is an error of kind `InvalidData`, or the disk failed.
    pub(super) fn open(file: Backend) -> io::Result<Self> {
        let blocks = Self {
            shared: Arc::new(Shared {
                file,
                last_header: Mutex::default(),
                sums: Sums::default(),
                damage: Mutex::default(),
                repair: Mutex::default(),
            }),
        };
        if blocks.len()? > 0 {
            let (number, header) = blocks.header()?;
            *blocks.shared.last_header.lock() = number;
            let state = header[STATE_AT];
            // A transaction of two phases was durable before the header named it.
            let may_be_partial = state & IS_UNCLEAN != 0 && state & IS_TWO_PHASE == 0;
            *blocks.shared.repair.lock() = may_be_partial.then(Repair::default);
        }
        Ok(blocks)
    }

    /// Says that redb has opened the database: every block that it reads from now on has to match.
    pub(super) fn is_open(&self) {
        *self.shared.repair.lock() = None;
    }

    /// The first failure to change the file, if there was one.
    pub(super) fn failure(&self) -> Option<Arc<io::Error>> {
        self.shared.file.failure()
    }

    /// Where in the file a block is that does not match its checksum: the one that was read last.
    pub(super) fn damage(&self) -> Option<u64> {
        *self.shared.damage.lock()
    }

    /// The copy of the header that counts, and its number.
    fn header(&self) -> io::Result<(u64, [u8; COPY_BYTES])> {
        let mut both = [0; 2 * COPY_BYTES];
        self.shared.file.read(place_of(0), &mut both)?;
        let copies = both.as_chunks().0.iter();
        let newest = copies.filter_map(|copy| Some((number_of(copy)?, *copy))).max();
        newest.ok_or_else(|| {
            *self.shared.damage.lock() = Some(place_of(0));
            io::Error::new(
                ErrorKind::InvalidData,
                "no copy of the header of the database matches its checksum",
            )
        })
    }

    fn write_header(&self, data: &[u8]) -> io::Result<()> {
        let mut copy = [0; COPY_BYTES];
        copy.get_mut(..data.len())
            .filter(|_| data.len() <= NUMBER_AT)
            .ok_or_else(not_whole_blocks)?
            .copy_from_slice(data);
        self.trust_what_redb_trusts()?;
        let mut last = self.shared.last_header.lock();
        *last += 1;
        copy[NUMBER_AT..COPY_SUM_AT].copy_from_slice(&last.to_le_bytes());
        let sum = crc32c(&copy[..COPY_SUM_AT]);
        copy[COPY_SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        let place = place_of(0) + *last % 2 * COPY_BYTES as u64;
        self.shared.file.write(place, &copy)
    }

    /// Makes sums durable that match the blocks which redb has read while it repairs.
    fn trust_what_redb_trusts(&self) -> io::Result<()> {
        let mut repair = self.shared.repair.lock();
        let Some(repair) = repair.as_mut().filter(|repair| !repair.mismatched.is_empty()) else {
            return Ok(());
        };
        for number in std::mem::take(&mut repair.mismatched) {
            let mut block = [0; BLOCK_BYTES];
            self.shared.file.read(place_of(number), &mut block)?;
            self.shared.sums.note(number, std::iter::once(&block[..]));
        }
        self.sync_data()
    }

    /// Reads blocks of one group; says which does not match.
    fn read_run(&self, first: u64, out: &mut [u8]) -> io::Result<Option<u64>> {
        self.shared.file.read(place_of(first), out)?;
        let sums = self
            .shared
            .sums
            .read(&self.shared.file, first, out.len() / BLOCK_BYTES)?;
        let mut found = None;
        let blocks = out.chunks_exact(BLOCK_BYTES).zip(sums);
        for (number, (block, sum)) in (first..).zip(blocks) {
            if sum_of(block, number) == sum {
                continue;
            }
            match self.shared.repair.lock().as_mut() {
                Some(repair) => {
                    repair.mismatched.insert(number);
                }
                None => found = found.or(Some(number)),
            }
        }
        Ok(found)
    }
}

impl StorageBackend for Blocks {
    fn len(&self) -> io::Result<u64> {
        let bytes = self.shared.file.len()?;
        let blocks = bytes / BLOCK;
        let groups = blocks.div_ceil(GROUP + 1);
        let length = (blocks - groups) * BLOCK;
        if length_for(length) != bytes {
            let reason = format!("{bytes} bytes are no whole number of blocks");
            return Err(io::Error::new(ErrorKind::InvalidData, reason));
        }
        Ok(length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset == 0 {
            let (_, header) = self.header()?;
            let wanted = header.get(..out.len()).filter(|wanted| wanted.len() <= NUMBER_AT);
            out.copy_from_slice(wanted.ok_or_else(not_whole_blocks)?);
            return Ok(());
        }
        let mut damaged = None;
        for (first, bytes) in runs(offset, out.len())? {
            let run = out.get_mut(bytes).ok_or_else(not_whole_blocks)?;
            damaged = self.read_run(first, run)?.or(damaged);
        }
        if let Some(number) = damaged {
            *self.shared.damage.lock() = Some(place_of(number));
            out.fill(NO_PAGE);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !len.is_multiple_of(BLOCK) {
            return Err(not_whole_blocks());
        }
        self.shared.sums.cut(len / BLOCK);
        self.shared.file.set_len(length_for(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.shared.sums.write(&self.shared.file)?;
        self.shared.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset == 0 {
            return self.write_header(data);
        }
        for (first, bytes) in runs(offset, data.len())? {
            let run = data.get(bytes).ok_or_else(not_whole_blocks)?;
            self.shared.file.write(place_of(first), run)?;
            self.shared.sums.note(first, run.chunks_exact(BLOCK_BYTES));
        }
        if self.shared.sums.are_many() {
            self.shared.sums.write(&self.shared.file)?;
        }
        Ok(())
    }
}

/// What a block that does not match its checksum is told as.
pub(super) const MISMATCH: &str = "a block does not match its checksum";

/// The number of a copy of the header, if it is whole.
fn number_of(copy: &[u8; COPY_BYTES]) -> Option<u64> {
    let (covered, sum) = copy.split_at(COPY_SUM_AT);
    let number = covered.last_chunk().map(|number| u64::from_le_bytes(*number));
    number.filter(|_| crc32c(covered).to_le_bytes() == sum)
}
