//! What a power loss may leave.

use std::collections::BTreeSet;

use super::SimDisk;
use super::image::{Image, Left, Operation, sectors};

/// Up to so many operations that were not made durable every subset of them is tried.
const EVERY_SUBSET: usize = 7;
/// Of more operations so many subsets are tried that chance chooses, beside those in which one or two differ from the others.
const RANDOM_SUBSETS: usize = 48;
/// Up to so many other operations a torn write is tried with every subset of them.
const TORN_WITH_EVERY_SUBSET: usize = 3;
/// Up to so many sectors of one write every subset of them is tried.
const EVERY_SUBSET_OF_SECTORS: usize = 5;

impl SimDisk {
    /// What a power loss after the first `moment` operations may leave, each image once.
    ///
    /// An operation is durable once its file or directory was synced after it. Of those that are not, any subset may be left:
    /// all subsets are tried of up to 7, and of more those in which at most two are left or at most two lost, the prefixes,
    /// and 48 that chance chooses (the same in every run). Each write may besides be torn: after any sector, within a sector
    /// after some bytes, or with any of its sectors missing; the other operations are then left in every subset of up to 3,
    /// and of more all, none, or those before it.
    pub fn crash_images(&self, start: &Image, moment: usize) -> BTreeSet<Image> {
        let losses = self.losses(start, moment);
        (0..losses.len()).map(|way| losses.image(way)).collect()
    }

    /// As [`SimDisk::crash_images`], one image at a time; two of them may be alike.
    pub fn losses(&self, start: &Image, moment: usize) -> Losses {
        let loss = self.loss(start, moment);
        let open = loss.open();
        let mut ways: Vec<Way> = subsets(open.len(), moment as u64)
            .into_iter()
            .map(|kept| (kept, None))
            .collect();
        for (torn, operation) in open.iter().enumerate() {
            let others = surroundings(open.len(), torn);
            for left in torn_writes(operation) {
                ways.extend(others.iter().map(|kept| (kept.clone(), Some((torn, left)))));
            }
        }
        drop(open);
        Losses { loss, ways }
    }

    /// As [`SimDisk::crash_images`], but at most so many of them, which chance chooses, the same in every run. For files that
    /// are written in many places between two syncs.
    pub fn some_crash_images(&self, start: &Image, moment: usize, most: usize) -> BTreeSet<Image> {
        let losses = self.losses(start, moment);
        let mut ways: Vec<usize> = (0..losses.len()).collect();
        let mut random = Random::new(moment as u64);
        let mut images = BTreeSet::new();
        for _ in 0..most.min(ways.len()) {
            let chosen = ways.swap_remove(random.below(ways.len()));
            images.insert(losses.image(chosen));
        }
        images
    }

    /// One image that a power loss now may leave; equal seeds give equal images.
    pub fn random_loss(&self, start: &Image, seed: u64) -> Image {
        let loss = self.loss(start, self.moment());
        let open = loss.open();
        let mut random = Random::new(seed);
        // Mostly all, mostly nothing, or anything between.
        let lost_in_8 = [1, 4, 7][random.below(3)];
        let kept: Vec<bool> = open.iter().map(|_| random.below(8) >= lost_in_8).collect();
        let torn = random.below(open.len() + 1);
        let lefts = open
            .get(torn)
            .map(|operation| torn_writes(operation))
            .unwrap_or_default();
        let torn = lefts.get(random.below(lefts.len() + 1)).map(|left| (torn, *left));
        loss.image(&kept, torn)
    }

    fn loss(&self, start: &Image, moment: usize) -> Loss {
        let world = self.world.lock();
        let history = &world.history[..moment];
        let settled = (0..moment).find(|&at| !is_durable(history, at)).unwrap_or(moment);
        let mut base = start.clone();
        history[..settled]
            .iter()
            .for_each(|operation| base.apply(operation, Left::All));
        let rest = (settled..moment).map(|at| (history[at].clone(), !is_durable(history, at)));
        let rest = rest.collect();
        Loss { base, rest }
    }
}

/// Which of the open operations are kept, and which one of them is torn how.
type Way = (Vec<bool>, Option<(usize, Left)>);

/// Everything that a power loss at one moment may leave.
#[derive(Debug)]
pub struct Losses {
    loss: Loss,
    ways: Vec<Way>,
}

impl Losses {
    /// How many ways there are, at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// What is there after one of them.
    pub fn image(&self, way: usize) -> Image {
        let (kept, torn) = &self.ways[way];
        self.loss.image(kept, *torn)
    }
}

/// A moment, with the operations that may be lost.
#[derive(Debug)]
struct Loss {
    /// What is there for sure: everything before the first operation that may be lost.
    base: Image,
    /// What came after it, each with whether it may be lost.
    rest: Vec<(Operation, bool)>,
}

impl Loss {
    /// The operations that may be lost.
    fn open(&self) -> Vec<&Operation> {
        let open = self.rest.iter().filter(|(_, is_open)| *is_open);
        open.map(|(operation, _)| operation).collect()
    }

    /// What is there if these of the open operations are kept, and one write is torn.
    fn image(&self, kept: &[bool], torn: Option<(usize, Left)>) -> Image {
        let mut image = self.base.clone();
        let mut kept = kept.iter().enumerate();
        for (operation, is_open) in &self.rest {
            let mut left = Left::All;
            if *is_open && let Some((number, &is_kept)) = kept.next() {
                left = match torn {
                    Some((torn, part)) if torn == number => part,
                    _ if is_kept => Left::All,
                    _ => Left::Nothing,
                };
            }
            image.apply(operation, left);
        }
        image.drop_unlinked();
        image
    }
}

/// Xorshift: any numbers that are the same in every run will do.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as usize % limit.max(1)
    }
}

/// Subsets of so many operations, as whether each is kept.
fn subsets(count: usize, seed: u64) -> Vec<Vec<bool>> {
    if count <= EVERY_SUBSET {
        return every_subset(count);
    }
    let mut subsets = Vec::new();
    for most in [true, false] {
        subsets.push(vec![most; count]);
        for first in 0..count {
            for second in first..count {
                let differs = |at| at == first || at == second;
                subsets.push((0..count).map(|at| differs(at) != most).collect());
            }
        }
    }
    subsets.extend((0..count).map(|end| (0..count).map(|at| at < end).collect()));
    let mut random = Random::new(seed);
    for _ in 0..RANDOM_SUBSETS {
        subsets.push((0..count).map(|_| random.below(2) == 1).collect());
    }
    subsets
}

fn every_subset(count: usize) -> Vec<Vec<bool>> {
    let subset = |mask: u32| (0..count).map(|at| mask >> at & 1 == 1).collect();
    (0..1 << count).map(subset).collect()
}

/// What becomes of the others when one write is torn.
fn surroundings(count: usize, torn: usize) -> Vec<Vec<bool>> {
    if count <= TORN_WITH_EVERY_SUBSET + 1 {
        return every_subset(count);
    }
    let before = (0..count).map(|at| at < torn).collect();
    vec![vec![true; count], vec![false; count], before]
}

/// The ways in which a write may be torn.
fn torn_writes(operation: &Operation) -> Vec<Left> {
    let Operation::Write { position, bytes, .. } = operation else {
        return Vec::new();
    };
    let sectors = sectors(*position, bytes.len());
    // The last two are where frames begin in the batches that the tests of the log write.
    let from_end = [1, 58, 116].map(|before| bytes.len().saturating_sub(before));
    let within = [1, 16, 40, bytes.len() / 2].into_iter().chain(from_end);
    let cuts = sectors.iter().map(|sector| sector.start).chain(within);
    let cuts = cuts.filter(|&cut| cut > 0 && cut < bytes.len());
    let mut lefts: Vec<Left> = cuts.flat_map(|cut| [Left::Start(cut), Left::End(cut)]).collect();
    let all = u64::MAX >> (64 - sectors.len().clamp(1, 64));
    if sectors.len() <= EVERY_SUBSET_OF_SECTORS {
        lefts.extend((1..all).map(Left::Sectors));
    } else {
        lefts.extend(
            (0..sectors.len().min(64))
                .flat_map(|one| [Left::Sectors(1 << one), Left::Sectors(all ^ 1 << one)]),
        );
    }
    lefts
}

fn is_durable(history: &[Operation], at: usize) -> bool {
    let later = &history[at + 1..];
    match &history[at] {
        Operation::Sync { .. } | Operation::SyncDir { .. } => true,
        Operation::Write { file, .. } | Operation::SetLen { file, .. } => later
            .iter()
            .any(|operation| matches!(operation, Operation::Sync { file: synced } if synced == file)),
        Operation::MakeDir { path } | Operation::RemoveDir { path } => later
            .iter()
            .any(|operation| matches!(operation, Operation::SyncDir { dir } if Some(dir.as_path()) == path.parent())),
        Operation::Link { dir, .. } | Operation::Unlink { dir, .. } | Operation::Rename { dir, .. } => later
            .iter()
            .any(|operation| matches!(operation, Operation::SyncDir { dir: synced } if synced == dir)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use strandline_core::disk::{Disk, OpenMode};

    use super::*;

    /// Contents that a file of one write may have after a loss; none = no file.
    fn left_of(write: &[u8], is_linked: bool) -> BTreeSet<Option<Vec<u8>>> {
        let start = Image::with_dir(Path::new("/d"));
        let disk = SimDisk::of(start.clone());
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        if is_linked {
            disk.sync_dir(Path::new("/d")).unwrap();
        }
        file.write_at(0, write).unwrap();
        let images = disk.crash_images(&start, disk.moment());
        let content = |image: &Image| image.files.values().next().map(|content| content.to_vec());
        images.iter().map(content).collect()
    }

    #[test]
    fn an_entry_and_its_content_are_lost_apart() {
        assert_eq!(
            left_of(b"x", true),
            BTreeSet::from([Some(vec![]), Some(b"x".to_vec())])
        );
        assert_eq!(
            left_of(b"x", false),
            BTreeSet::from([None, Some(vec![]), Some(b"x".to_vec())])
        );
    }

    #[test]
    fn any_sector_of_a_write_may_be_missing() {
        let write: Vec<u8> = (1..=3).flat_map(|sector| vec![sector; 512]).collect();
        let left = left_of(&write, true);
        for sectors in 0..8_u8 {
            let mut content = Vec::new();
            for sector in 0..3 {
                if sectors >> sector & 1 == 1 {
                    content.resize(usize::from(sector) * 512, 0);
                    content.extend(vec![sector + 1; 512]);
                }
            }
            assert!(left.contains(&Some(content)), "sectors {sectors:03b}");
        }
    }

    #[test]
    fn every_subset_of_few_and_the_extremes_of_many_operations_are_tried() {
        assert_eq!(subsets(3, 1).len(), 8);
        let many: BTreeSet<Vec<bool>> = subsets(12, 1).into_iter().collect();
        assert!(many.contains(&vec![true; 12]) && many.contains(&vec![false; 12]));
        let lost = |subset: &&Vec<bool>| subset.iter().filter(|kept| !**kept).count() == 2;
        assert_eq!(many.iter().filter(lost).count(), 66);
        assert!(many.len() > 2 * 66 + RANDOM_SUBSETS / 2, "{}", many.len());
    }
}
