//! Requests for blocks: which, for whom, and what is done with what comes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use strandline_core::storage::{Fetch, FetchFailure};
use tokio::sync::OwnedSemaphorePermit;

use super::ahead::{Direction, Row};
use super::attempts::Trouble;
use super::fetching::{Landing, LandingGuard};
use super::flights::Goal;
use super::segment::{Checked, Segment};
use super::source;
use super::{ArchiveReads, Reader, State};

/// Blocks that are fetched in one request.
#[derive(Debug)]
struct Request {
    segment: Segment,
    numbers: Range<usize>,
    /// The one that somebody wants: if another is damaged, that is said when it is wanted.
    wanted: usize,
    /// Held by requests that nobody waits for yet; the others wait for one.
    permit: Option<OwnedSemaphorePermit>,
}

impl ArchiveReads {
    /// Has a block fetched that a reader waits for, with those after it if the reader goes on.
    pub(super) fn fetch_wanted(self: &Arc<Self>, segment: &Segment, number: usize, reader: Reader) -> Fetch {
        let mut state = self.state.lock();
        if let Some(fetch) = state.flights.of(&Goal::Block(segment.block_id(number))) {
            return fetch.clone();
        }
        let numbers = if reader.goes_on {
            self.window(&state, segment, number, reader.direction)
        } else {
            number..number + 1
        };
        let request = Request {
            segment: segment.clone(),
            numbers,
            wanted: number,
            permit: None,
        };
        let (landing, fetch) = Landing::of(self, &mut state, request.wanted(), request.others());
        drop(state);
        self.send(landing, request);
        fetch
    }

    /// Has blocks fetched that a reader at this one comes to soon.
    pub(super) fn fetch_ahead(self: &Arc<Self>, segment: &Segment, at: usize, direction: Direction) {
        let enough = self.settings.request_bytes();
        let first = {
            let state = self.state.lock();
            let row = Row {
                count: segment.blocks(),
                length: |number| segment.length(number),
                is_absent: |number| self.is_absent(&state, segment, number),
            };
            row.frontier(at, direction, enough)
        };
        if let Some(first) = first {
            self.fetch_unasked(segment, first, direction);
        }
    }

    /// Has the first blocks of a segment fetched that a reader comes to soon.
    pub(in crate::tiered) fn fetch_next(self: &Arc<Self>, segment: &Segment, direction: Direction) {
        let first = match direction {
            Direction::Forward => (segment.blocks() > 0).then_some(0),
            Direction::Backward => segment.blocks().checked_sub(1),
        };
        if let Some(first) = first {
            self.fetch_unasked(segment, first, direction);
        }
    }

    /// Only if the caches and the limits have room for what nobody waits for.
    fn fetch_unasked(self: &Arc<Self>, segment: &Segment, first: usize, direction: Direction) {
        let mut state = self.state.lock();
        if !self.is_absent(&state, segment, first) {
            return;
        }
        let numbers = self.window(&state, segment, first, direction);
        let bytes = segment.bytes(&numbers);
        if !state.memory.has_room_ahead(bytes) {
            return;
        }
        // The other half is for readers that wait.
        let count = self.settings.permits_of(bytes);
        if self.permits.available_permits() < (count + self.settings.permits() / 2) as usize {
            return;
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(count) else {
            return;
        };
        let request = Request {
            segment: segment.clone(),
            numbers,
            wanted: first,
            permit: Some(permit),
        };
        let (landing, _) = Landing::of(self, &mut state, request.wanted(), request.others());
        drop(state);
        self.send(landing, request);
    }

    fn window(&self, state: &State, segment: &Segment, first: usize, direction: Direction) -> Range<usize> {
        let row = Row {
            count: segment.blocks(),
            length: |number| segment.length(number),
            is_absent: |number| self.is_absent(state, segment, number),
        };
        row.window(first, direction, self.settings.request_bytes())
    }

    fn send(self: &Arc<Self>, landing: LandingGuard, request: Request) {
        let this = Arc::clone(self);
        self.spawn(landing, async move {
            let segment = request.segment.clone();
            let (checked, permit) = this.request(request).await?;
            Ok(this.keep(segment, checked, permit))
        });
    }

    /// Fetches, checks and takes in.
    async fn request(&self, request: Request) -> Result<(Checked, OwnedSemaphorePermit), FetchFailure> {
        let (segment, deadline) = (&request.segment, self.deadline());
        let permit = match request.permit {
            Some(permit) => permit,
            None => {
                let count = self.settings.permits_of(segment.bytes(&request.numbers));
                deadline.permit(&self.permits, count).await?
            }
        };
        let mut is_repeated = false;
        loop {
            let read = || {
                self.numbers.requested();
                source::blocks(segment, &request.numbers)
            };
            let read = match deadline.repeat(segment.key(), read).await {
                Err(Trouble::Missing(_)) => {
                    let (archive, entry) = (segment.archive(), segment.entry());
                    let key = entry.key(archive.place());
                    source::explain_missing(archive, &key, entry.range, &deadline).await?;
                    return Ok((Checked::default(), permit));
                }
                other => other?,
            };
            self.numbers.got(read.iter().map(Bytes::len).sum());
            let (sum, numbers) = (segment.clone(), request.numbers.clone());
            // Checksums of megabytes would keep a thread of the runtime from its other tasks.
            let check = tokio::task::spawn_blocking(move || sum.check(read, numbers)).await;
            let mut checked = check.map_err(|error| Trouble::Silence(error.to_string()))?;
            let flaw = checked.flaw_of(request.wanted);
            if let Some(damage) = flaw.as_ref().filter(|_| !is_repeated) {
                tracing::warn!(%damage, "what came from an archive is damaged; it is fetched again");
                is_repeated = true;
                continue;
            }
            self.take_in(segment, &checked);
            return match flaw {
                Some(damage) => Err(FetchFailure::Damaged(damage)),
                None => Ok((checked, permit)),
            };
        }
    }

    fn take_in(&self, segment: &Segment, checked: &Checked) {
        let mut state = self.state.lock();
        for (number, block) in &checked.blocks {
            state.memory.put(segment.block_id(*number), Arc::clone(block));
        }
    }

    /// Puts blocks on the disk, and holds the right to fetch until that is done.
    async fn keep(self: Arc<Self>, segment: Segment, checked: Checked, permit: OwnedSemaphorePermit) {
        if self.disk.is_none() {
            return;
        }
        let keep = move || {
            for (number, block) in checked.blocks {
                if let Some(disk) = &self.disk {
                    disk.put(segment.key(), segment.position(number), block.bytes());
                }
            }
            drop(permit);
        };
        // One that panics has said so; nothing is lost.
        let _ = tokio::task::spawn_blocking(keep).await;
    }
}

impl Request {
    fn wanted(&self) -> Goal {
        Goal::Block(self.segment.block_id(self.wanted))
    }

    fn others(&self) -> Vec<Goal> {
        let others = self.numbers.clone().filter(|&number| number != self.wanted);
        others
            .map(|number| Goal::Block(self.segment.block_id(number)))
            .collect()
    }
}
