//! What of a run of records passes the filters of a subscription, as frames.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use strandline_core::record::{Batch, RecordView};
use strandline_core::{Offset, OffsetRange, Timestamp};
use strandline_proto::wire::MessageFramer;

use super::super::frame_buffers::FRAMES_MAX_BYTES;
use crate::plugins::{NotReady, Outbound};

/// Frames of the records that passed, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Ready to be sent, in order.
    pub(super) pieces: Vec<Bytes>,
    /// Where the subscription ends because a filter failed, and why.
    pub(super) failure: Option<(Offset, String)>,
}

/// Records of a subscription in the order in which they are delivered.
struct Wanted<'a> {
    records: Vec<RecordView<'a>>,
    places: Vec<(Offset, Timestamp)>,
}

impl<'a> Wanted<'a> {
    fn of(batches: &'a [Batch], wanted: OffsetRange) -> Self {
        let (mut records, mut places) = (Vec::new(), Vec::new());
        for batch in batches {
            let header = batch.header();
            for record in batch.records() {
                let offset = header.base.plus(u64::from(record.offset_delta()));
                if wanted.contains(offset) {
                    places.push((offset, header.time(&record)));
                    records.push(record);
                }
            }
        }
        Self { records, places }
    }

    fn reverse(&mut self) {
        self.records.reverse();
        self.places.reverse();
    }
}

/// What of a run is asked about, and what is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) wanted: OffsetRange,
    pub(super) order: Order,
    pub(super) tells_progress: bool,
}

/// Asks the filters about the wanted records of these batches. With `tells_progress` the last frame tells how far the subscription is
/// where the last record does not say so. Blocks.
pub(super) fn filter(
    outbound: &Arc<Outbound>,
    framer: &MessageFramer,
    batches: &[Batch],
    question: Question,
) -> Result<Frames, NotReady> {
    let mut records = Wanted::of(batches, question.wanted);
    if question.order == Order::NewestFirst {
        records.reverse();
    }
    let passed = outbound.pass(&records.records)?;
    let mut frames = Frames::default();
    let mut out = BytesMut::new();
    for &number in &passed.numbers {
        let (offset, time) = records.places[number];
        framer.frame(&mut out, offset, time, records.records[number].body());
        if out.len() >= FRAMES_MAX_BYTES {
            frames.pieces.push(out.split().freeze());
        }
    }
    frames.failure = passed
        .failure
        .and_then(|(number, reason)| Some((records.places.get(number)?.0, reason)));
    if question.tells_progress
        && frames.failure.is_none()
        && let Some((last, time)) = records.places.last().copied()
        && passed.numbers.last() != Some(&(records.places.len() - 1))
    {
        framer.progress(&mut out, last, time);
    }
    if !out.is_empty() {
        frames.pieces.push(out.freeze());
    }
    Ok(frames)
}

/// In which order records are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}
