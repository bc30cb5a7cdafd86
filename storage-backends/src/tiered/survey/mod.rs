//! Looking at archives from outside, with no broker: what there is in a bucket, and whether it is whole.
//!
//! Nothing is written, and a broker may go on archiving meanwhile: the manifest is read before the objects are listed, and what
//! has left it stays for a grace time.

mod kept;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use strandline_core::{OffsetRange, PartitionId, Timestamp};

use super::object::HEADER_BYTES;
use super::reads::Segment;
use super::{ArchiveError, Bucket, BucketError, Entry, PartitionArchive, Place, Totals, check_header};
use crate::check::Finding;
use kept::{Kept, strangers};

/// Bytes that one request reads, unless a single block is larger.
const READ_BYTES: u64 = 8 << 20;

/// What to do about an object that is damaged or missing.
pub(super) const RESTORE: &str = "restore the object from a copy or an earlier version of the bucket; until then readers of it are told of it";
/// What somebody who looks at a bucket wants to hear.
pub trait Witness {
    /// So many more bytes were looked at.
    fn looked_at(&mut self, bytes: u64);

    /// Something is not as it should be.
    fn found(&mut self, finding: Finding);
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Manifests, and whether every object is there and as long as it should be.
    Objects,
    /// All of that, and every byte of every object.
    Bytes,
}

/// The archive of a partition in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where it is.
    pub place: Place,
    /// From the first offset that it has to the first that it has not.
    pub range: OffsetRange,
    /// What lies in between and was never archived.
    pub gaps: Vec<OffsetRange>,
    /// What it holds.
    pub totals: Totals,
    /// Time of the newest record.
    pub last_time: Option<Timestamp>,
}

/// A bucket that is looked at.
#[derive(Clone, Debug)]
pub struct Survey {
    bucket: Arc<Bucket>,
}

impl Survey {
    /// Of this bucket.
    pub fn new(bucket: Arc<Bucket>) -> Self {
        Self { bucket }
    }

    /// The bucket.
    pub fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    /// Every partition that has something in the bucket, in order. Asks for one listing a cluster and one a stream.
    ///
    /// # Errors
    ///
    /// The bucket cannot be asked.
    pub async fn places(&self) -> Result<Vec<Place>, BucketError> {
        let mut places = Vec::new();
        for cluster in self.bucket.directories("").await? {
            for stream in self.bucket.directories(&cluster).await? {
                if !is_stream(&stream) {
                    continue;
                }
                let root = format!("{cluster}/{stream}");
                let numbers = self.bucket.directories(&root).await?;
                let mut numbers: Vec<u32> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
                numbers.sort_unstable();
                for number in numbers {
                    let place = Place {
                        root: root.clone(),
                        partition: PartitionId::new(number),
                    };
                    // Where objects are files, directories stay when the last of them is deleted.
                    if !self.bucket.url().starts_with("file:") || !self.is_empty(&place).await? {
                        places.push(place);
                    }
                }
            }
        }
        Ok(places)
    }

    /// Whether there is nothing in a place: directories of a file system stay when what was in them is purged.
    ///
    /// # Errors
    ///
    /// The bucket cannot be asked.
    pub async fn is_empty(&self, place: &Place) -> Result<bool, BucketError> {
        let listed = place.list(&self.bucket).await?;
        Ok(listed.is_empty())
    }

    /// What a partition's manifest says of it.
    ///
    /// # Errors
    ///
    /// It has none, it is damaged, or the bucket cannot be asked.
    pub async fn summary(&self, place: &Place) -> Result<Summary, ArchiveError> {
        let view = self.archive(place).load().await?;
        Ok(Summary {
            place: place.clone(),
            range: OffsetRange::new(view.start(), view.end()),
            gaps: view.gaps().to_vec(),
            totals: view.totals(),
            last_time: view.last_time(),
        })
    }

    /// Looks at a partition's archive, and tells what is wrong with it.
    ///
    /// # Errors
    ///
    /// The bucket cannot be asked. What is damaged or missing is a finding.
    pub async fn verify(
        &self,
        place: &Place,
        depth: Depth,
        witness: &mut dyn Witness,
    ) -> Result<(), BucketError> {
        let archive = self.archive(place);
        let view = match archive.load().await {
            Ok(view) => view,
            Err(ArchiveError::Bucket(error)) => return Err(error),
            Err(ArchiveError::Missing { .. }) if self.is_empty(place).await? => return Ok(()),
            Err(error) => {
                let advice = "restore HEAD from a copy or an earlier version of the bucket";
                witness.found(Finding::damage(place.key(Place::HEAD), error.to_string(), advice));
                return Ok(());
            }
        };
        let mut kept = Kept::default();
        kept.add(&archive, &view, witness).await?;
        kept.add_points(&archive, &view, witness).await?;
        let listed = place.list(&self.bucket).await?;
        let lengths: BTreeMap<_, _> = listed
            .iter()
            .filter_map(|object| Some((place.name_of(&object.key)?, object.bytes)))
            .collect();
        for entry in kept.entries.values() {
            if self.is_there(place, entry, &lengths, witness).await? {
                match depth {
                    Depth::Objects => witness.looked_at(entry.object_bytes),
                    Depth::Bytes => self.read(&archive, entry, witness).await?,
                }
            }
        }
        strangers(place, &view, (&kept, &lengths), witness);
        Ok(())
    }

    pub(super) fn archive(&self, place: &Place) -> Arc<PartitionArchive> {
        PartitionArchive::new(Arc::clone(&self.bucket), place.clone())
    }

    /// Reads all of an object.
    async fn read(
        &self,
        archive: &Arc<PartitionArchive>,
        entry: &Arc<Entry>,
        witness: &mut dyn Witness,
    ) -> Result<(), BucketError> {
        let key = entry.key(archive.place());
        let footer = match archive.footer(entry).await {
            Ok(footer) => footer,
            Err(ArchiveError::Bucket(error)) => {
                return or_finding::<()>(Err(error), &key, witness).map(|_| ());
            }
            Err(error) => {
                witness.found(Finding::damage(&key, error.to_string(), RESTORE));
                return Ok(());
            }
        };
        let header = self.bucket.get_range(&key, 0..HEADER_BYTES as u64).await;
        if let Some(header) = or_finding(header, &key, witness)?
            && let Err(reason) = check_header(&header)
        {
            witness.found(Finding::damage(&key, reason, RESTORE).at(0));
        }
        let segment = Segment::new(archive, entry, footer);
        let mut begun = 0;
        while begun < segment.blocks() {
            let numbers = next_blocks(&segment, begun);
            begun = numbers.end;
            self.read_blocks(&key, &segment, numbers, witness).await?;
        }
        witness.looked_at(entry.object_bytes - entry.bytes);
        Ok(())
    }

    /// Whether the object of a segment is there and as long as it should be. What is borrowed is looked for where it lies.
    async fn is_there(
        &self,
        place: &Place,
        entry: &Entry,
        lengths: &BTreeMap<&str, u64>,
        witness: &mut dyn Witness,
    ) -> Result<bool, BucketError> {
        let key = entry.key(place);
        let found = match &entry.place {
            None => lengths.get(entry.name.as_str()).copied(),
            Some(_) => match self.bucket.head(&key).await {
                Err(BucketError::NotFound { .. }) => None,
                found => Some(found?),
            },
        };
        let problem = match found {
            Some(bytes) if bytes == entry.object_bytes => return Ok(true),
            Some(bytes) => format!("it has {bytes} bytes instead of {}", entry.object_bytes),
            None => format!(
                "it is missing, with the offsets from {} to before {}",
                entry.range.start, entry.range.end
            ),
        };
        witness.found(Finding::damage(key, problem, RESTORE));
        Ok(false)
    }

    async fn read_blocks(
        &self,
        key: &str,
        segment: &Segment,
        numbers: Range<usize>,
        witness: &mut dyn Witness,
    ) -> Result<(), BucketError> {
        let length = segment.bytes(&numbers);
        if let Some(read) = or_finding(segment.read(&numbers).await, key, witness)? {
            for (_, flaw) in segment.check(read, numbers).flaws {
                witness.found(Finding::damage(key, flaw.reason, RESTORE).at(flaw.position));
            }
        }
        witness.looked_at(length);
        Ok(())
    }
}

/// Consecutive blocks from this one on that one request reads.
pub(super) fn next_blocks(segment: &Segment, first: usize) -> Range<usize> {
    let mut end = first + 1;
    while end < segment.blocks() && segment.bytes(&(first..end + 1)) <= READ_BYTES {
        end += 1;
    }
    first..end
}

/// Whether a directory is a stream's: its name ends in a number.
fn is_stream(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What was read; none and a finding when the object does not have it.
fn or_finding<T>(
    read: Result<T, BucketError>,
    key: &str,
    witness: &mut dyn Witness,
) -> Result<Option<T>, BucketError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error @ (BucketError::NotFound { .. } | BucketError::Damaged { .. })) => {
            witness.found(Finding::damage(key, error.to_string(), RESTORE));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
