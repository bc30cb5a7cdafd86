//! Sums of blocks, of which those that were written since the last sync are kept in memory: they share few writes then.

use std::collections::BTreeMap;
use std::io;

use parking_lot::RwLock;

use super::super::backend::Backend;
use super::layout::{GROUP, SUM_BYTES, Sum, place_of_sum, sum_of};

/// Sums that are kept in memory until the next sync, at the most.
const KEPT_SUMS: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Sums {
    kept: RwLock<BTreeMap<u64, Sum>>,
}

impl Sums {
    /// Takes note of blocks as they are now, from this number on.
    pub(super) fn note<'a>(&self, first: u64, blocks: impl Iterator<Item = &'a [u8]>) {
        let sums = (first..)
            .zip(blocks)
            .map(|(number, block)| (number, sum_of(block, number)));
        self.kept.write().extend(sums);
    }

    /// Whether they take more memory than they should.
    pub(super) fn are_many(&self) -> bool {
        self.kept.read().len() > KEPT_SUMS
    }

    /// Forgets those of blocks that are cut off.
    pub(super) fn cut(&self, count: u64) {
        self.kept.write().split_off(&count);
    }

    /// Sums of blocks of one group, as they were noted last.
    pub(super) fn read(&self, file: &Backend, first: u64, count: usize) -> io::Result<Vec<Sum>> {
        // Held meanwhile, as they are in memory or in the file.
        let kept = self.kept.read();
        let mut bytes = vec![0; count * SUM_BYTES];
        file.read(place_of_sum(first), &mut bytes)?;
        let stored = (first..).zip(bytes.as_chunks().0);
        let newest = |(number, sum): (u64, &Sum)| *kept.get(&number).unwrap_or(sum);
        Ok(stored.map(newest).collect())
    }

    /// Writes those that are kept in memory.
    pub(super) fn write(&self, file: &Backend) -> io::Result<()> {
        let mut kept = self.kept.write();
        let mut rest = kept.iter().map(|(number, sum)| (*number, *sum)).peekable();
        while let Some(&(first, _)) = rest.peek() {
            let is_of_group = |(number, _): &(u64, Sum)| number / GROUP == first / GROUP;
            let group: Vec<_> = std::iter::from_fn(|| rest.next_if(is_of_group)).collect();
            write_group(file, first, &group)?;
        }
        drop(rest);
        kept.clear();
        Ok(())
    }
}

/// Writes sums of one group at once, from the first to the last: what lies between them is written as it is, which takes two system
/// calls instead of one for each run of them.
fn write_group(file: &Backend, first: u64, sums: &[(u64, Sum)]) -> io::Result<()> {
    let count = sums.last().map_or(0, |(last, _)| (last - first) as usize + 1);
    let mut bytes = vec![0; count * SUM_BYTES];
    if sums.len() < count {
        file.read(place_of_sum(first), &mut bytes)?;
    }
    let (places, _) = bytes.as_chunks_mut::<SUM_BYTES>();
    for (number, sum) in sums {
        if let Some(place) = places.get_mut((number - first) as usize) {
            *place = *sum;
        }
    }
    file.write(place_of_sum(first), &bytes)
}
