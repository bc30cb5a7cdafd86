//! HEAD: the manifest's newest part, and who writes it.

use serde::{Deserialize, Serialize};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, PartitionId, Timestamp};

use super::entry::check_entries;
use super::point::{Borrowed, MAX_POINTS, PointRef};
use super::{Entry, PageRef};

/// An object that the manifest does not name any more and that is deleted after a grace time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its name within the place.
    pub name: String,
    /// When it left the manifest, by the clock of the leader.
    pub since: Timestamp,
}

/// The content of HEAD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `<cluster>/<stream>.<incarnation>`.
    pub place: String,
    /// The partition.
    pub partition: PartitionId,
    /// Identity of its log in the cluster.
    pub log: LogId,
    /// Epoch of the leader that writes here.
    pub epoch: LeaderEpoch,
    /// What tells this leader from all others, of the same epoch too: 32 hex digits.
    pub writer: String,
    /// Number of this state; grows by one with every change.
    pub sequence: u64,
    /// First offset of the archive; what lies below was removed or never archived.
    pub start: Offset,
    /// First offset that is not archived.
    pub end: Offset,
    /// The older entries, in order.
    #[serde(default)]
    pub pages: Vec<PageRef>,
    /// The newer entries, in order.
    #[serde(default)]
    pub entries: Vec<Entry>,
    /// Offsets that were not archived, in order.
    #[serde(default)]
    pub gaps: Vec<OffsetRange>,
    /// What is to be deleted.
    #[serde(default)]
    pub gone: Vec<Gone>,
    /// States that are kept: nothing that one of them leads to is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<PointRef>,
    /// By which points of other places what is borrowed is kept there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<Borrowed>,
    /// Below it the archive was compacted by key; 0 = it never was.
    #[serde(default)]
    pub compacted: Offset,
    /// The tombstones below that.
    #[serde(default)]
    pub tombstones: Tombstones,
    /// Somebody is deleting all of it: whoever finds this lets it be.
    #[serde(default)]
    pub purging: bool,
}

/// The tombstones in what was compacted of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstones {
    /// Those whose grace time runs.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// Whether there may be some from there up to where the archive was compacted.
    #[serde(default)]
    pub newer: bool,
    /// Below this offset they have left.
    #[serde(default)]
    pub left: Offset,
}

impl Tombstones {
    /// What is known of them of an archive that ends at `end`: rather too little than too much.
    pub(super) fn up_to(self, end: Offset) -> Self {
        let is_cut = self.waiting.is_some_and(|waiting| waiting.before > end);
        Self {
            waiting: self.waiting.map(|waiting| Waiting {
                before: waiting.before.min(end),
                ..waiting
            }),
            newer: self.newer || is_cut,
            left: self.left.min(end),
        }
    }
}

/// Tombstones that nobody has read an older record of their keys before, once the grace time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// They lie below this offset.
    pub before: Offset,
    /// Since when the older records are gone, from the archive and from the disk.
    pub since: Timestamp,
}

impl Head {
    /// Kind of its document.
    pub const KIND: &str = "head";

    /// Whether everything between start and end is accounted for, once.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), String> {
        if self.writer.len() != 32 || !self.writer.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("the writer is not 32 hex digits".to_owned());
        }
        if self.start > self.end || self.end > Offset::MAX {
            return Err(format!("start {} and end {} contradict", self.start, self.end));
        }
        let waiting = self
            .tombstones
            .waiting
            .map_or(Offset::ZERO, |waiting| waiting.before);
        if self.compacted > self.end || waiting > self.end || self.tombstones.left > self.end {
            return Err(format!("it is compacted beyond its end {}", self.end));
        }
        self.pages.iter().try_for_each(PageRef::check)?;
        check_entries(&self.entries)?;
        self.check_points()?;
        let is_ours = |name: &str| {
            let directories = ["segments/", "manifest/", PointRef::DIRECTORY];
            directories
                .iter()
                .any(|directory| super::entry::is_name(name, directory))
        };
        if let Some(gone) = self.gone.iter().find(|gone| !is_ours(&gone.name)) {
            return Err(format!("{:?} is not an object of an archive", gone.name));
        }
        self.check_cover()
    }

    fn check_points(&self) -> Result<(), String> {
        if self.points.len() > MAX_POINTS || self.borrowed.len() > MAX_POINTS {
            return Err(format!("it has more than {MAX_POINTS} points"));
        }
        self.points.iter().try_for_each(PointRef::check)?;
        self.borrowed.iter().try_for_each(Borrowed::check)?;
        for (number, point) in self.points.iter().enumerate() {
            if self.points[..number].iter().any(|other| other.name == point.name) {
                return Err(format!("two points are called {:?}", point.name));
            }
        }
        Ok(())
    }

    fn check_cover(&self) -> Result<(), String> {
        let in_page = |gap: &OffsetRange| {
            let holds = |page: &PageRef| page.range.start <= gap.start && gap.end <= page.range.end;
            self.pages.iter().any(holds)
        };
        let pages = self.pages.iter().map(|page| page.range);
        let entries = self.entries.iter().map(|entry| entry.range);
        let gaps = self.gaps.iter().filter(|gap| !in_page(gap)).copied();
        let mut cover: Vec<_> = pages.chain(entries).chain(gaps).collect();
        cover.sort_unstable_by_key(|range| range.start);
        let mut reached = cover.first().map_or(self.start, |first| first.start);
        if reached > self.start {
            return Err(format!("{}..{reached} is neither archived nor a gap", self.start));
        }
        for range in cover {
            if range.start != reached || range.is_empty() {
                return Err(format!("{range} does not follow what ends at {reached}"));
            }
            reached = range.end;
        }
        if reached != self.end {
            return Err(format!("the entries end at {reached} instead of {}", self.end));
        }
        Ok(())
    }
}
