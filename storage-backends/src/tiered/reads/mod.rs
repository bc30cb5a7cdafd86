//! Reading archived segments: what is at hand is given at once, the rest is fetched while nobody's thread waits.
//!
//! What is fetched when is decided by plain code ([`ahead`], [`tracks`], [`memory`]); tasks on a runtime do it ([`fetching`]).

mod ahead;
mod attempts;
mod block;
mod disk;
mod documents;
mod fetching;
mod flights;
mod memory;
mod numbers;
mod order;
mod requests;
mod segment;
mod settings;
mod source;
mod tracks;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use strandline_core::storage::ReadError;

pub use numbers::{ReadCounts, ReadNumbers};
pub use settings::{DiskSettings, ReadSettings};

use super::{Footer, Page};

pub(super) use ahead::Direction;
pub(super) use block::{Block, Found};
pub(super) use segment::Segment;

use ahead::Row;
use disk::DiskCache;
use documents::{Documents, MAX_FOOTERS, MAX_PAGES};
use flights::Flights;
use memory::MemoryCache;
use numbers::Count;
use tracks::{Track, Tracks};

/// Reads of all archives of a process, with the caches and limits that they share.
#[derive(Debug)]
pub struct ArchiveReads {
    settings: ReadSettings,
    runtime: Handle,
    state: Mutex<State>,
    disk: Option<DiskCache>,
    /// One for each MiB that may be fetched at a time.
    permits: Arc<Semaphore>,
    /// Whether nobody is to wait any more.
    stopping: watch::Sender<bool>,
    numbers: ReadNumbers,
}

#[derive(Debug)]
struct State {
    memory: MemoryCache,
    footers: Documents<Footer>,
    pages: Documents<Page>,
    flights: Flights,
    tracks: Tracks,
}

/// Who reads a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) direction: Direction,
    /// Whether it goes through the log, so that what follows is wanted soon.
    pub(super) goes_on: bool,
}

impl ArchiveReads {
    /// Reads whose fetches run on this runtime. Opens the cache on the disk, which blocks; if that cannot be had it is done
    /// without.
    pub fn new(settings: ReadSettings, runtime: Handle) -> Arc<Self> {
        let disk = settings.disk.as_ref().and_then(|wanted| {
            let opened = DiskCache::open(Arc::clone(&wanted.disk), &wanted.directory, wanted.max_bytes);
            opened
                .inspect_err(|error| {
                    tracing::warn!(%error, directory = %wanted.directory.display(),
                        "there is no cache of the archive on the disk");
                })
                .ok()
        });
        Arc::new(Self {
            state: Mutex::new(State {
                memory: MemoryCache::new(settings.memory_bytes()),
                footers: Documents::new(MAX_FOOTERS),
                pages: Documents::new(MAX_PAGES),
                flights: Flights::default(),
                tracks: Tracks::default(),
            }),
            disk,
            permits: Arc::new(Semaphore::new(settings.permits() as usize)),
            stopping: watch::Sender::new(false),
            numbers: ReadNumbers::default(),
            settings,
            runtime,
        })
    }

    /// What it has cost so far.
    pub fn numbers(&self) -> &ReadNumbers {
        &self.numbers
    }

    /// Bytes of blocks in memory.
    pub fn memory_bytes(&self) -> usize {
        self.state.lock().memory.bytes()
    }

    /// Bytes of files on the disk.
    pub fn disk_bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, DiskCache::bytes)
    }

    /// Ends all fetches; who waits for one is told that it was given up. Later reads find what is at hand and nothing else.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether a read that begins here is one of a reader who goes through the log.
    pub(super) fn goes_on(&self, track: &Track) -> bool {
        self.state.lock().tracks.is_known(track)
    }

    /// Takes note of where a read ended.
    pub(super) fn moved(&self, from: &Track, to: Track) {
        self.state.lock().tracks.moved(from, to);
    }

    /// A block of a segment, for a reader who may want those after it soon.
    ///
    /// # Errors
    ///
    /// [`ReadError::Fetching`] when it is not at hand.
    pub(super) fn block(
        self: &Arc<Self>,
        segment: &Segment,
        number: usize,
        reader: Reader,
    ) -> Result<Arc<Block>, ReadError> {
        let found = match self.at_hand(segment, number) {
            Some(block) => Ok(block),
            None => {
                self.numbers.count(Count::Miss);
                Err(ReadError::Fetching(self.fetch_wanted(segment, number, reader)))
            }
        };
        if reader.goes_on {
            self.fetch_ahead(segment, number, reader.direction);
        }
        found
    }

    fn at_hand(&self, segment: &Segment, number: usize) -> Option<Arc<Block>> {
        let id = segment.block_id(number);
        if let Some(block) = self.state.lock().memory.read(&id) {
            self.numbers.count(Count::MemoryHit);
            return Some(block);
        }
        let disk = self.disk.as_ref()?;
        let position = segment.position(number);
        let bytes = disk.read(segment.key(), position)?;
        match Block::check(bytes, &segment.promise(number)?) {
            Ok(block) => {
                let block = Arc::new(block);
                let mut state = self.state.lock();
                state.memory.put(id.clone(), Arc::clone(&block));
                state.memory.read(&id);
                self.numbers.count(Count::DiskHit);
                Some(block)
            }
            Err(_) => {
                disk.forget(segment.key(), position);
                None
            }
        }
    }

    /// Whether a block has to be fetched and is not.
    fn is_absent(&self, state: &State, segment: &Segment, number: usize) -> bool {
        let id = segment.block_id(number);
        let on_disk = |disk: &DiskCache| disk.contains(segment.key(), segment.position(number));
        !state.memory.contains(&id)
            && !state.flights.has_block(&id)
            && !self.disk.as_ref().is_some_and(on_disk)
    }

    /// Whether a reader at this block wants the segment after this one soon.
    pub(super) fn is_near_the_end(&self, segment: &Segment, number: usize, direction: Direction) -> bool {
        let row = Row {
            count: segment.blocks(),
            length: |number| segment.length(number),
            is_absent: |_| true,
        };
        row.is_near_the_end(number, direction, self.settings.request_bytes())
    }
}

#[cfg(test)]
impl ArchiveReads {
    /// Whether nothing is fetched.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().flights.is_empty()
            && self.permits.available_permits() == self.settings.permits() as usize
    }
}
