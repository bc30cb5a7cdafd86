//! A new place that borrows from another one what that has up to a point or a time: nothing is copied but what a cut goes through.
//!
//! The order, so that a crash at any moment leaves nothing that cannot be found and removed:
//!
//! 1. the new place gets a HEAD that is empty and says by which point it is going to borrow;
//! 2. the whole batches of a segment that the cut goes through are copied into an object of the new place;
//! 3. the lender's HEAD gets the point, which keeps what is borrowed;
//! 4. HEAD of the new place is replaced by one that leads to all of it.
//!
//! Only then may there be a stream. The lender goes on meanwhile, and its leader is not fenced.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use strandline_core::record::{Batch, BatchIter, crc32c};
use strandline_core::{LeaderEpoch, OffsetRange, Timestamp};

use super::cut::{Cut, Part, first_head, truncated};
use super::nonce::nonce;
use super::object::Blocks;
use super::point::{Borrowed, PointRef};
use super::points::not_purged;
use super::{
    ArchiveError, Base, Bucket, BucketError, Entry, Footer, Found, Head, Page, PartitionArchive, Place,
    PointError, Points, Throttle, Upload, View, lent_points,
};

/// Bytes that one request reads of a segment that is copied, unless a single block is larger.
const READ_BYTES: u64 = 8 << 20;
/// How often HEAD of the new place is written while answers are lost.
const TRIES: u32 = 4;

/// A state of somebody's manifest that is to be borrowed.
#[derive(Clone, Debug)]
pub struct Loan {
    lender: Arc<PartitionArchive>,
    state: Head,
    base: Base,
}

/// With what a place is made.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// Size in bytes of the parts of large objects.
    pub part_bytes: usize,
    /// The limit that all partitions share.
    pub throttle: &'a Throttle,
    /// The time.
    pub now: Timestamp,
}

impl Loan {
    /// What the archive has now.
    ///
    /// # Errors
    ///
    /// As [`PartitionArchive::load`].
    pub async fn of_head(lender: &Arc<PartitionArchive>) -> Result<Self, ArchiveError> {
        let state = Points::of(lender).head().await?;
        not_purged(&state, lender.place())?;
        Ok(Self {
            lender: Arc::clone(lender),
            state,
            base: Base::Head,
        })
    }

    /// What the archive had at a point, which is told by the name of its document. None if HEAD has no such point any more.
    ///
    /// # Errors
    ///
    /// HEAD or the document is missing or damaged, or the bucket cannot be asked.
    pub async fn of_point(
        lender: &Arc<PartitionArchive>,
        object: &str,
    ) -> Result<Option<Self>, ArchiveError> {
        let points = Points::of(lender);
        let head = points.head().await?;
        not_purged(&head, lender.place())?;
        let is_meant = |point: &&PointRef| point.object == object;
        let Some(point) = head.points.iter().find(is_meant) else {
            return Ok(None);
        };
        Ok(Some(Self {
            lender: Arc::clone(lender),
            state: points.load(point).await?,
            base: Base::Point(object.to_owned()),
        }))
    }

    /// All of it; or, with a time, all up to the last batch whose records are not later, as long as times do not fall along the log.
    /// Reads at most a page, a footer and two blocks.
    ///
    /// # Errors
    ///
    /// Something of it is missing or damaged, or the bucket cannot be asked.
    pub async fn cut(&self, to: Option<Timestamp>) -> Result<Cut, ArchiveError> {
        let end = self.state.end;
        let Some(to) = to else {
            let state = truncated(&self.state, None, end);
            return Ok(Cut { state, part: None });
        };
        let Some((page, entry)) = self.first_after(to).await? else {
            let state = truncated(&self.state, None, end);
            return Ok(Cut { state, part: None });
        };
        let part = self.part(&entry, to).await?;
        let state = truncated(&self.state, page.as_deref(), entry.range.start);
        Ok(Cut { state, part })
    }

    /// The first segment with a record that is later, and the page that it is in.
    async fn first_after(
        &self,
        to: Timestamp,
    ) -> Result<Option<(Option<Arc<Page>>, Arc<Entry>)>, ArchiveError> {
        let later = to.plus(std::time::Duration::from_nanos(1));
        let view = View::of(self.state.clone());
        let is_kept = |entry: &Arc<Entry>| entry.range.end > view.start();
        match view.at_time(later) {
            Some(Found::Page(page)) => {
                let page = self.lender.page(&page).await?;
                let mut entries = page.entries().iter().filter(|entry| is_kept(entry));
                // As a page tells the time of its last record alone, all of what is kept can be earlier only if times fall.
                let found = entries.find(|entry| entry.last_time >= later);
                let found = found.or_else(|| page.entries().last()).cloned();
                Ok(found.map(|entry| (Some(page), entry)))
            }
            Some(Found::Entry(entry)) => Ok(Some((None, entry))),
            Some(Found::Gap(_)) | None => Ok(None),
        }
    }

    /// The first batches of a segment, as far as none of their records is later; none if there are none.
    async fn part(&self, entry: &Arc<Entry>, to: Timestamp) -> Result<Option<Part>, ArchiveError> {
        let footer = self.lender.footer(entry).await?;
        let blocks = footer.blocks();
        let candidates = blocks.partition_point(|block| block.first_time <= to);
        for number in (0..candidates).rev() {
            let batches = self.batches(entry, &footer, number..number + 1).await?;
            let kept = batches
                .iter()
                .take_while(|batch| batch.header().last_time <= to)
                .count();
            let Some(last) = kept.checked_sub(1).and_then(|last| batches.get(last)) else {
                continue;
            };
            let next = batches.get(kept).map(|batch| batch.header().base);
            let next = next.or_else(|| blocks.get(number + 1).map(|block| block.base));
            return Ok(Some(Part {
                entry: Arc::clone(entry),
                blocks: number + 1,
                end: next.unwrap_or(entry.range.end),
                last_time: last.header().last_time,
            }));
        }
        Ok(None)
    }

    /// The batches of consecutive blocks, checked.
    async fn batches(
        &self,
        entry: &Entry,
        footer: &Footer,
        numbers: Range<usize>,
    ) -> Result<Vec<Batch>, ArchiveError> {
        let key = entry.key(self.lender.place());
        let damaged = |reason: String| ArchiveError::damaged(&key, reason);
        let blocks = footer.blocks().get(numbers).unwrap_or_default();
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(Vec::new());
        };
        let extent = first.position..last.bytes().end;
        let bytes = self.lender.bucket().get_range(&key, extent).await?;
        let (mut batches, mut rest) = (Vec::new(), bytes);
        for block in blocks {
            let whole = rest.len().min(block.length as usize);
            let bytes: Bytes = rest.split_to(whole);
            if crc32c(&bytes) != block.crc32c {
                return Err(damaged(format!(
                    "the checksum of the block at byte {} is wrong",
                    block.position
                )));
            }
            for batch in BatchIter::new(bytes) {
                let batch = batch.map_err(|error| damaged(error.to_string()))?;
                batches.push(Batch::checked(batch.bytes()).map_err(|error| damaged(error.to_string()))?);
            }
        }
        Ok(batches)
    }

    /// Makes the archive of a place that nobody else knows, which borrows this.
    ///
    /// Cancel safety: what is there then is found as a place that no cluster names; [`Loan::give_back`] removes it.
    ///
    /// # Errors
    ///
    /// [`PointError::Outdated`] when something has left the lender's manifest since it was read: begin with a new loan. Otherwise
    /// something is damaged, or the bucket cannot be asked.
    pub async fn borrow(
        &self,
        cut: &Cut,
        borrower: &Arc<PartitionArchive>,
        means: Means<'_>,
    ) -> Result<(), PointError> {
        let by = Borrowed {
            place: self.lender.place().to_string(),
            point: Points::lent_name()?,
        };
        let first = first_head(borrower.place(), nonce::<16>()?, cut.start(), by.clone());
        write_head(borrower, None, &first).await?;
        let part = match &cut.part {
            Some(part) => Some(self.copy(part, borrower, means).await?),
            None => None,
        };
        let points = Points::of(&self.lender);
        points
            .lend(&by.point, (&cut.state, &self.base), means.now)
            .await?;
        let next = cut.borrowing(first.clone(), part);
        write_head(borrower, Some(&first), &next).await?;
        Ok(())
    }

    /// Copies the first batches of a segment into an object of the borrower.
    async fn copy(
        &self,
        part: &Part,
        borrower: &PartitionArchive,
        means: Means<'_>,
    ) -> Result<Entry, ArchiveError> {
        let range = OffsetRange::new(part.entry.range.start, part.end);
        let name = Entry::new_name(range, LeaderEpoch::default())?;
        let key = borrower.place().key(&name);
        let mut upload = borrower.bucket().upload_in_parts(&key, means.part_bytes);
        let entry = match self.fill(&mut upload, part, name, means.throttle).await {
            Ok(entry) => entry,
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        };
        let length = upload.finish().await?;
        entry.check_length(&key, length)?;
        Ok(entry)
    }

    async fn fill(
        &self,
        upload: &mut Upload,
        part: &Part,
        name: String,
        throttle: &Throttle,
    ) -> Result<Entry, ArchiveError> {
        let range = OffsetRange::new(part.entry.range.start, part.end);
        let footer = self.lender.footer(&part.entry).await?;
        let (mut blocks, header) = Blocks::begin(range.start);
        upload.write(header).await?;
        let mut first = 0;
        while first < part.blocks {
            let numbers = next_blocks(&footer, first, part.blocks);
            first = numbers.end;
            let batches = self.batches(&part.entry, &footer, numbers).await?;
            for batch in batches.iter().filter(|batch| batch.header().end() <= part.end) {
                for piece in blocks.push(batch) {
                    upload.meanwhile(throttle.take(piece.len() as u64)).await?;
                    upload.write(piece).await?;
                }
            }
        }
        let Some((rest, totals)) = blocks.finish() else {
            let source = part.entry.key(self.lender.place());
            return Err(ArchiveError::damaged(&source, "it has no batch before the cut"));
        };
        for piece in rest {
            upload.write(piece).await?;
        }
        Ok(Entry::of(name, range, totals))
    }

    /// Removes what a loan that came to nothing has left in a place that no stream has, and the lender's point.
    ///
    /// # Errors
    ///
    /// The bucket cannot be asked. It can be repeated.
    pub async fn give_back(borrower: &Arc<PartitionArchive>, now: Timestamp) -> Result<(), PointError> {
        let head = match Points::of(borrower).head().await {
            Err(ArchiveError::Missing { .. }) => return Ok(()),
            head => head?,
        };
        end_loans(borrower.bucket(), &head, now).await?;
        let (bucket, place) = (borrower.bucket(), borrower.place());
        let head = place.key(Place::HEAD);
        // A copy that HEAD does not name yet is there, too.
        let listed = place.list(bucket).await?;
        for object in listed.iter().filter(|object| object.key != head) {
            bucket.delete(&object.key).await?;
        }
        bucket.delete(&head).await?;
        Ok(())
    }
}

/// Lets go of all that a place has borrowed from others.
///
/// # Errors
///
/// The bucket cannot be asked, or the HEAD of a lender is damaged. It can be repeated.
pub(super) async fn end_loans(bucket: &Arc<Bucket>, head: &Head, now: Timestamp) -> Result<(), PointError> {
    for (lender, point) in lent_points(head) {
        let lender = PartitionArchive::new(Arc::clone(bucket), lender);
        match Points::of(&lender).remove(&point, now).await {
            // Lost, or purged when nobody knew of this borrower any more.
            Err(PointError::Archive(ArchiveError::Missing { .. })) => {}
            removed => drop(removed?),
        }
    }
    Ok(())
}

/// Consecutive blocks from this one on that one request reads.
fn next_blocks(footer: &Footer, first: usize, end: usize) -> Range<usize> {
    let mut bytes = 0;
    let fits = footer.blocks().iter().take(end).skip(first).take_while(|block| {
        bytes += u64::from(block.length);
        bytes <= READ_BYTES
    });
    first..first + fits.count().max(1)
}

/// Writes HEAD of a place that is nobody else's, on exactly this state before.
async fn write_head(
    archive: &PartitionArchive,
    before: Option<&Head>,
    next: &Head,
) -> Result<(), ArchiveError> {
    let (key, mut doubt) = (archive.place().key(Place::HEAD), None);
    for _ in 0..TRIES {
        let found = match archive.read_head().await {
            Err(ArchiveError::Missing { .. }) => None,
            found => Some(found?),
        };
        let head = found.as_ref().map(|(head, _)| head);
        if head == Some(next) {
            return Ok(());
        }
        if head != before {
            let reason = "another program writes to a place that was made just now";
            return Err(ArchiveError::damaged(&key, reason));
        }
        let written = match &found {
            Some((_, version)) => archive.replace_head(next, version).await?.map(drop),
            None => {
                let created = archive.bucket().create(&key, archive.encode_head(next)?).await;
                match created {
                    Err(error) if error.leaves_doubt() => Err(error),
                    created => Ok(created.map(drop)?),
                }
            }
        };
        match written {
            Ok(()) => return Ok(()),
            Err(error) => doubt = Some(error),
        }
    }
    Err(doubt.unwrap_or(BucketError::Conflict { key }).into())
}
