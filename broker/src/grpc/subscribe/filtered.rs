//! What of a run of records passes the filters of a subscription, as frames.

use strandline_core::record::{Batch, RecordView};
use strandline_core::{Offset, OffsetRange, Timestamp};
use strandline_proto::wire::MessageFramer;

use super::outlet::Outlet;
use crate::plugins::{NotReady, Outbound};
use crate::reader::Records;

/// Records that filters are to be asked about.
#[derive(Debug)]
pub(super) struct Question {
    batches: Vec<Batch>,
    /// Of their records those at these offsets.
    wanted: OffsetRange,
    order: Order,
}

/// In which order records are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// A filter failed on the record at this offset, where the subscription ends.
#[derive(Debug)]
pub(super) struct FilterFailure {
    pub(super) offset: Offset,
    pub(super) reason: String,
}

/// Records of a question in the order in which they are delivered.
struct Wanted<'a> {
    records: Vec<RecordView<'a>>,
    places: Vec<(Offset, Timestamp)>,
}

impl Question {
    /// About all records of a run that are to be delivered.
    pub(super) fn forward(records: &Records) -> Self {
        Self {
            // The log has checked the run; an error can only mean that it is over.
            batches: records.run.batches().map_while(Result::ok).collect(),
            wanted: OffsetRange::new(records.from, records.end),
            order: Order::OldestFirst,
        }
    }

    /// About the wanted records of a batch, the newest first.
    pub(super) fn backward(batch: Batch, wanted: OffsetRange) -> Self {
        Self {
            batches: vec![batch],
            wanted,
            order: Order::NewestFirst,
        }
    }

    /// Bytes of its batches.
    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes().len()).sum()
    }

    /// Asks the filters and puts out the frames of what passes, up to a record that one failed on. With `tells_progress` the last
    /// frame tells how far the subscription is where the last record does not say so. Blocks.
    ///
    /// # Errors
    ///
    /// A filter does not work; nothing was put out.
    pub(super) fn ask(
        &self,
        outbound: &Outbound,
        framer: &MessageFramer,
        tells_progress: bool,
        outlet: &mut Outlet<'_>,
    ) -> Result<Option<FilterFailure>, NotReady> {
        let Wanted { records, places } = self.wanted();
        let passed = outbound.pass(&records)?;
        for &number in &passed.numbers {
            let (offset, time) = places[number];
            framer.frame(outlet.room(), offset, time, records[number].body());
        }
        if let Some((number, reason)) = passed.failure {
            let place = places.get(number);
            return Ok(place.map(|&(offset, _)| FilterFailure { offset, reason }));
        }
        if tells_progress
            && let Some((last, time)) = places.last().copied()
            && passed.numbers.last() != Some(&(places.len() - 1))
        {
            framer.progress(outlet.room(), last, time);
        }
        Ok(None)
    }

    fn wanted(&self) -> Wanted<'_> {
        let count = self
            .batches
            .iter()
            .map(|batch| batch.header().records as usize)
            .sum();
        let (mut records, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for batch in &self.batches {
            let header = batch.header();
            for record in batch.records() {
                let offset = header.base.plus(u64::from(record.offset_delta()));
                if self.wanted.contains(offset) {
                    places.push((offset, header.time(&record)));
                    records.push(record);
                }
            }
        }
        if self.order == Order::NewestFirst {
            records.reverse();
            places.reverse();
        }
        Wanted { records, places }
    }
}
